"""Small JSON objects in the environment's store: what every machine that uses the environment must see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.errors import IntegrityError, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mlinfra.contract.requests import Document
    from mlinfra.contract.store import Store
    from mlinfra.engine.session import Session

APPROVALS = "approvals"


@dataclass(frozen=True)
class Record:
    """A document and the etag under which it may be replaced."""

    document: Document
    etag: str


def read(session: Session, key: str) -> Record | None:
    """The record, None where there is none.

    Raises:
        IntegrityError: the object is no JSON object.
    """
    store, key = _place(session, key)
    info = store.head(key)
    if info is None:
        return None
    try:
        document = json.loads(store.get(key))
    except NotFound:
        return None
    except ValueError as exc:
        raise _torn(store, key) from exc
    if not isinstance(document, dict):
        raise _torn(store, key)
    return Record(document, info.etag)


def write(
    session: Session, key: str, document: Mapping[str, Any], *, if_match: str | None = None, if_absent: bool = False
) -> str:
    """Write the record and return its etag.

    Raises:
        Conflict: the condition does not hold: somebody else was quicker.
    """
    session.verify_account()
    store, key = _place(session, key)
    content = json.dumps(document).encode()  # in the order given: that of a schema's columns means something
    return store.put(key, content, if_match=if_match, if_absent=if_absent).etag


def delete(session: Session, key: str) -> None:
    """Remove the record. Safe to repeat."""
    session.verify_account()
    store, key = _place(session, key)
    store.delete(key)


def names(session: Session, prefix: str) -> list[str]:
    """The keys below a prefix, in order."""
    store, key = _place(session, prefix)
    cut = len(key) - len(prefix)
    return [info.key[cut:] for info in store.list(key)]


def _place(session: Session, key: str) -> tuple[Store, str]:
    """Approvals lie in a store of their own where the environment has one: only approvers may write there."""
    if key.startswith(f"{APPROVALS}/") and APPROVALS in session.environment.stores:
        return session.store(APPROVALS), key
    return session.store(), key


def _torn(store: Store, key: str) -> IntegrityError:
    return IntegrityError("a record of the kit in the store is not readable", given=store.uri(key))
