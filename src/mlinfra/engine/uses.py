"""Which models hold versions of a package, so that its bytes go when the last one goes and not before.

One record for each digest, changed by compare-and-swap. Whoever takes the last model out marks the record as being
removed, removes the bytes, then the record; who comes in between waits, or ends a removal that was left undone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.engine import records
from mlinfra.engine.archives import archive_key
from mlinfra.engine.packages import models_prefix
from mlinfra.engine.parallel import each
from mlinfra.engine.transfer import doubt, listing_key
from mlinfra.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document
    from mlinfra.engine.records import Record
    from mlinfra.engine.session import Session

LONGEST_REMOVAL = 120.0  # seconds after which a remover stops by itself ...
ABANDONED = timedelta(seconds=180)  # ... and after which everybody may take its work over
_PAUSE = 5.0
_TRIES = 50  # lost races over one record; more than that is no race


def add_use(session: Session, digest: str, model: str, owner: str) -> bool:
    """Note that a model is about to hold a version of these bytes, and on whose word. Safe to repeat.

    True where that was noted before, so that nobody can have removed the bytes since.

    Raises:
        Unavailable: somebody has been removing the same bytes for too long.
    """
    for _ in range(_TRIES):
        held = _read(session, digest)
        if held is not None and held.document["removing"]:
            _end_removal(session, digest, held)
            continue
        models = held.document["models"] if held else {}
        if model in models:
            return True
        if _write(session, digest, held, {**models, model: owner}):
            return False
    raise _contended(digest)


def end_use(session: Session, digest: str, model: str) -> bool:
    """Note that a model holds no version of these bytes any more; True when that removed them. Safe to repeat.

    Raises:
        Unavailable: too many others change the same record; nothing was removed.
    """
    for _ in range(_TRIES):
        held = _read(session, digest)
        if held is None:
            return False
        left = {name: owner for name, owner in held.document["models"].items() if name != model}
        if not _write(session, digest, held, left, removing=not left):
            continue
        if not left:
            _remove(session, digest)
        return not left
    raise _contended(digest)


def registrant(session: Session, digest: str, model: str) -> str:
    """Who first registered these bytes under that model, empty where the store does not know."""
    held = _read(session, digest)
    return str(held.document["models"].get(model, "")) if held else ""


def _read(session: Session, digest: str) -> Record | None:
    return records.read(session, _key(digest))


def _write(
    session: Session, digest: str, held: Record | None, models: dict[str, str], *, removing: bool = False
) -> bool:
    document: Document = {
        "digest": digest,
        "models": models,
        "removing": session.clock.now().isoformat() if removing else "",
    }
    etag = held.etag if held else None
    absent = held is None
    try:
        records.write(session, _key(digest), document, if_match=etag, if_absent=absent)
    except Conflict:
        return False
    return True


def _end_removal(session: Session, digest: str, held: Record) -> None:
    """Wait for another's removal; end it in its place where it was left undone."""
    if session.clock.now() - datetime.fromisoformat(held.document["removing"]) < ABANDONED:
        session.say("these bytes are being removed by somebody; waiting for the end of that")
        session.clock.sleep(_PAUSE)
    else:
        _remove(session, digest)


def _remove(session: Session, digest: str) -> None:
    """The listing goes first, so that nobody takes what is left for a whole; the record goes last."""
    store = session.store()
    prefix = models_prefix(digest)
    ends = session.clock.monotonic() + LONGEST_REMOVAL
    doubt(session, store.uri(prefix))
    store.delete(listing_key(prefix))
    store.delete(archive_key(digest))
    keys = [info.key for info in store.list(f"{prefix}/")]

    def remove(key: str) -> int:
        if session.clock.monotonic() > ends:
            raise Unavailable("removing the bytes takes too long", given=prefix)
        store.delete(key)
        return 0

    each(session, f"removing {prefix}", keys, remove)
    records.delete(session, _key(digest))


def _key(digest: str) -> str:
    return f"kit/uses/{digest.removeprefix('sha256:')}.json"


def _contended(digest: str) -> Unavailable:
    return Unavailable("too many others work with the same bytes at once", given=digest)
