"""One creator for a resource that has no name of our choosing.

Some platforms take neither a name nor a token on create, so two machines that submit the same work at once would
make two. The first to write the claim object creates; the others wait for what it makes.
"""

from __future__ import annotations

import hashlib
import os
import socket
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.engine import records
from mlinfra.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.requests import Document
    from mlinfra.engine.records import Record
    from mlinfra.engine.session import Session

LIFETIME = 180.0  # seconds: one call of at most 60 s, and the visibility of its effect
PAUSE = 2.0


def claim(session: Session, procedure: str, step: str, look_up: Callable[[], Document | None]) -> Document | None:
    """Become the creator, or return what another creator made.

    Returns None when the claim is ours and nothing is there yet. A claim that ran out is taken over.

    Raises:
        Unavailable: another machine holds the claim and nothing showed while it was valid.
    """
    key = f"kit/claims/{hashlib.sha256(f'{procedure}/{step}'.encode()).hexdigest()[:40]}.json"
    ends = session.clock.monotonic() + 2 * LIFETIME
    while session.clock.monotonic() < ends:
        existing = look_up()
        if existing is not None:
            return existing
        if _take(session, key):
            return look_up()
        session.say(f"{step}: another process is creating it; waiting for what it makes")
        session.clock.sleep(PAUSE)
    raise Unavailable("another machine claimed this work and nothing came of it", given=key)


def _take(session: Session, key: str) -> bool:
    held = records.read(session, key)
    if held is not None and not (_ours(held) or _expired(session, held)):
        return False
    document = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "expires": (session.clock.now() + timedelta(seconds=LIFETIME)).isoformat(),
    }
    try:
        records.write(session, key, document, if_match=held.etag if held else None, if_absent=held is None)
    except Conflict:
        return False
    return True


def _ours(held: Record) -> bool:
    return (held.document["host"], held.document["pid"]) == (socket.gethostname(), os.getpid())


def _expired(session: Session, held: Record) -> bool:
    return datetime.fromisoformat(held.document["expires"]) <= session.clock.now()
