"""Addresses in Google Cloud that adapter, stack and permissions must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from mlinfra.environment import Environment

ARTEFACTS = "artefacts"


def store_base(environment: Environment, name: str = ARTEFACTS) -> str:
    """`gs://bucket/prefix` of a store, without a slash at its end.

    Raises:
        NotFound: the environment names no such store.
    """
    location = environment.stores.get(name)
    if location is None:
        raise NotFound(
            "the environment has no such store",
            given=name,
            allowed=", ".join(sorted(environment.stores)) or "none is named",
            todo=f"name it in the environment: stores.{name}.uri",
        )
    return location.uri.rstrip("/")
