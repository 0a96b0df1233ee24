"""One machine at a time: a lease in the environment's store, taken and renewed by compare-and-swap."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.engine import records
from mlinfra.engine.liveness import died_here
from mlinfra.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.contract.requests import Document
    from mlinfra.engine.records import Record
    from mlinfra.engine.session import Session

TTL = 60.0


class Lease:
    """A lease that we hold. `generation` grows by one each time the lease changes hands."""

    def __init__(self, session: Session, key: str, ttl: float) -> None:
        self._session = session
        self._key = key
        self._ttl = ttl
        self._owner = uuid.uuid4().hex
        self._renewed = 0.0
        self.generation = 0

    def take(self) -> None:
        """Take the lease, or what is left of one that ran out.

        Raises:
            Conflict: somebody holds it; names owner and age.
        """
        held = records.read(self._session, self._key)
        if held is not None and not self._free(held):
            raise self._taken(held)
        self.generation = held.document.get("generation", 0) + 1 if held else 1
        try:
            self._write(held)
        except Conflict as exc:
            winner = records.read(self._session, self._key)
            raise (self._taken(winner) if winner else exc) from exc

    def renew(self) -> None:
        """Hold on to it; call at least every third of its time to live. Cheap when called more often.

        Raises:
            Conflict: it ran out and somebody else took it; stop at once.
        """
        if self._session.clock.monotonic() - self._renewed < self._ttl / 3:
            return
        held = records.read(self._session, self._key)
        if held is None or held.document.get("owner") != self._owner:
            raise Conflict("the lease was lost to somebody else", given=self._key, todo="run the command again")
        self._write(held)

    def release(self) -> None:
        """Give it back; a lease that somebody else took meanwhile is left alone."""
        held = records.read(self._session, self._key)
        if held is not None and held.document.get("owner") == self._owner:
            released = {**held.document, "expires": self._session.clock.now().isoformat()}
            try:
                records.write(self._session, self._key, released, if_match=held.etag)
            except Conflict:
                return

    def _write(self, held: Record | None) -> None:
        now = self._session.clock.now()
        document: Document = {
            "owner": self._owner,
            "who": self._session.caller.principal,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "taken": now.isoformat(),
            "expires": (now + timedelta(seconds=self._ttl)).isoformat(),
            "generation": self.generation,
        }
        records.write(self._session, self._key, document, if_match=held.etag if held else None, if_absent=held is None)
        self._renewed = self._session.clock.monotonic()

    def _free(self, held: Record) -> bool:
        expired = datetime.fromisoformat(held.document["expires"]) <= self._session.clock.now()
        return expired or self._left_by_a_dead_process_of_ours(held.document)

    def _left_by_a_dead_process_of_ours(self, document: Document) -> bool:
        ours = document.get("who") == self._session.caller.principal
        return ours and died_here(str(document.get("host")), int(document["pid"]))

    def _taken(self, held: Record) -> Conflict:
        age = (self._session.clock.now() - datetime.fromisoformat(held.document["taken"])).total_seconds()
        return Conflict(
            f"{held.document['who']} on {held.document['host']} is at work on this, since {age:.0f} s",
            given=self._key,
            todo="wait for it to end and run the command again; a lease whose owner is gone runs out "
            f"after {self._ttl:.0f} s",
        )


@contextmanager
def lease(session: Session, name: str, *, ttl: float = TTL) -> Iterator[Lease]:
    """Hold the lease of that name for the length of the block.

    Raises:
        Conflict: somebody else holds it.
    """
    held = Lease(session, f"kit/leases/{name}.json", ttl)
    held.take()
    try:
        yield held
    finally:
        held.release()
