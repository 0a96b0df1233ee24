"""One creator for a resource that has no name of our choosing.

Some platforms take neither a name nor a token on create, so two machines that submit the same work at once would
make two. The first to write the claim object creates; the others wait for what it makes. A claim is not given back
after the create: until it runs out, lists may not show what was made. Its object stays as long as what was made, so
whoever writes it where there was none knows without looking that nothing is there.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.engine import records
from mlinfra.engine.liveness import died_here
from mlinfra.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.requests import Document
    from mlinfra.engine.records import Record
    from mlinfra.engine.session import Session

LIFETIME = 180.0  # seconds: one call of at most 60 s, and the visibility of its effect
VISIBILITY = 20.0  # seconds for which a list may not show what was made
PAUSE = 2.0


@dataclass(frozen=True)
class Claim:
    """The right to create one thing, once."""

    session: Session
    key: str
    token: str

    def give_back(self) -> None:
        """Let others create at once; only after a failure that certainly had no effect."""
        held = records.read(self.session, self.key)
        if held is not None and held.document["token"] == self.token:
            with suppress(Conflict):
                records.write(self.session, self.key, {**held.document, "token": ""}, if_match=held.etag)


def claim(
    session: Session, procedure: str, step: str, look_up: Callable[[], Document | None]
) -> tuple[Claim | None, Document | None]:
    """Become the creator, or get what another creator made: one of the two is None.

    A claim that ran out, or whose process on this machine is gone, is taken over.

    Raises:
        Unavailable: another process holds the claim and nothing showed while it was valid.
    """
    key = _key(procedure, step)
    ours = Claim(session, key, uuid.uuid4().hex)
    if _is_first(ours):
        return ours, None
    ends = session.clock.monotonic() + 2 * LIFETIME
    while session.clock.monotonic() < ends:
        existing = look_up()
        if existing is not None:
            return None, existing
        if _take(ours):
            existing = look_up()
            return (None, existing) if existing is not None else (ours, None)
        session.say(f"{step}: another process is creating it; waiting for what it makes")
        session.clock.sleep(PAUSE)
    raise Unavailable("another machine claimed this work and nothing came of it", given=key)


def forget(session: Session, procedure: str, step: str) -> None:
    """Remove what is left of a claim, once what was made is gone for good."""
    records.delete(session, _key(procedure, step))


def _key(procedure: str, step: str) -> str:
    return f"kit/claims/{hashlib.sha256(f'{procedure}/{step}'.encode()).hexdigest()[:40]}.json"


def _is_first(ours: Claim) -> bool:
    return _write(ours, None)


def _take(ours: Claim) -> bool:
    held = records.read(ours.session, ours.key)
    if held is not None and held.document["token"] == ours.token:
        return True  # written, but the answer was lost
    if held is not None and not _free(ours.session, held):
        return False
    return _write(ours, held)


def _write(ours: Claim, held: Record | None) -> bool:
    document = {
        "token": ours.token,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "expires": (ours.session.clock.now() + timedelta(seconds=LIFETIME)).isoformat(),
    }
    try:
        records.write(ours.session, ours.key, document, if_match=held.etag if held else None, if_absent=held is None)
    except Conflict:
        return False
    return True


def _free(session: Session, held: Record) -> bool:
    if not held.document["token"]:
        return True
    left = (datetime.fromisoformat(held.document["expires"]) - session.clock.now()).total_seconds()
    return left <= 0 or (left <= LIFETIME - VISIBILITY and died_here(held.document["host"], held.document["pid"]))
