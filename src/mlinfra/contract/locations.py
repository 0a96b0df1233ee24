"""Where an environment's stores are, and what lies in them: the same question on every cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from mlinfra.environment import Environment

ARTEFACTS = "artefacts"  # the store that every environment has


def store_base(environment: Environment, name: str = ARTEFACTS) -> str:
    """The base address of a store, `s3://bucket/prefix`, without a slash at its end.

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


def store_key(base: str, uri: str) -> str:
    """The key behind an address, which may also be written `store://key`.

    Raises:
        NotFound: the address lies outside the store.
    """
    if uri.startswith("store://"):
        return unquote(uri.removeprefix("store://"))
    if uri == base or uri.startswith(f"{base}/"):
        return uri.removeprefix(base).removeprefix("/")
    raise NotFound(
        "this address is not in the environment's store",
        given=uri,
        allowed=f"{base}/…",
        todo="`mlinfra store put` brings it there",
    )
