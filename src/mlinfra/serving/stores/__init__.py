"""Object stores for capture records: one small object at a time, by what a serving container has at hand.

Nothing but putting is needed, and an image that holds the server alone must stay small, so each vendor's request is
made by hand with the standard library: a client of all three costs tens of megabytes, and every start its import.
Imported only where capture goes to a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mlinfra.errors import SpecError
from mlinfra.serving.stores.azure import azure_store
from mlinfra.serving.stores.gcs import gcs_store
from mlinfra.serving.stores.s3 import s3_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ObjectStore(Protocol):
    """A prefix in an object store."""

    def put(self, path: str, content: bytes) -> None:
        """Write an object below the prefix, replacing it. One attempt, at most `request.PATIENCE` seconds a byte.

        Raises RunnerError: TEMPORARY where another attempt may succeed.
        """


def open_store(address: str, key: str, environ: Mapping[str, str]) -> ObjectStore:
    """The prefix that an address names; `key` encrypts. Sends nothing. Raises SpecError for what is no such address."""
    scheme, _, rest = address.partition("://")
    if scheme not in _STORES:
        known = ", ".join(f"{name}://" for name in _STORES)
        raise SpecError("capture goes to a folder or an object store", given=address, allowed=f"a folder, {known}")
    return _STORES[scheme](rest.strip("/"), key, environ)


_STORES: dict[str, Callable[[str, str, Mapping[str, str]], ObjectStore]] = {
    "s3": s3_store,
    "gs": gcs_store,
    "https": azure_store,
}
