"""What the environment's store knows of an endpoint: the release that serves, those before it, and a rollout.

Any machine can go on from it. The platform stays the truth: what it tells of deployments and traffic wins.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlinfra.engine import records
from mlinfra.engine.releases import Release
from mlinfra.engine.rollout import Phase, Rollout
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

VERSION = 1
_FOLDER = "kit/rollouts/"
_STOP = ".stop"  # no endpoint's name has a dot
KEPT = 10  # earlier releases that `rollback` may go back to


@dataclass(frozen=True)
class Book:
    """The releases of an endpoint, `previous` the oldest first, and its newest rollout, which may be over.

    `changed` is when the book was last written.
    """

    current: Release | None = None
    previous: tuple[Release, ...] = ()
    rollout: Rollout | None = None
    changed: datetime | None = None

    @property
    def under_way(self) -> Rollout | None:
        """The rollout that has not come to its end."""
        return self.rollout if self.rollout and not self.rollout.phase.over else None

    def known(self) -> Iterator[Release]:
        """Every release on record, the likeliest to be serving first."""
        if self.current:
            yield self.current
        if self.rollout:
            yield self.rollout.new
        yield from reversed(self.previous)

    def with_rollout(self, rollout: Rollout) -> Book:
        """The book after a rollout has changed; one that is completed makes its release the current one.

        Where nothing served any more, what did so last becomes one of the earlier releases.
        """
        book = replace(self, rollout=rollout)
        if rollout.phase is Phase.COMPLETED:
            return book.with_release(rollout.new, instead_of=None if rollout.reverses else rollout.old)
        if rollout.old is None:
            return replace(book, current=None, previous=_earlier(self.previous, self.current))
        return replace(book, current=rollout.old)

    def with_release(self, release: Release, *, instead_of: Release | None) -> Book:
        """The book after a release took a good one's place."""
        others = _earlier(self.previous, instead_of)
        return replace(self, current=release, previous=tuple(each for each in others if each.names != release.names))


@dataclass
class Ledger:
    """A book and its place in the store; a write over somebody else's is refused."""

    session: Session
    endpoint: str
    book: Book = field(default_factory=Book)
    etag: str | None = None

    @classmethod
    def open(cls, session: Session, endpoint: str) -> Ledger:
        """The endpoint's book; an empty one where nothing is recorded.

        Raises:
            CapabilityError: a newer kit wrote it.
            IntegrityError: it is not readable.
        """
        record = records.read(session, key(endpoint))
        if record is None:
            return cls(session, endpoint)
        return cls(session, endpoint, _book(record.document), record.etag)

    def write(self, book: Book) -> None:
        """Replace the book.

        Raises:
            Conflict: somebody else wrote it meanwhile.
        """
        book = replace(book, changed=self.session.clock.now())
        absent = self.etag is None
        self.etag = records.write(
            self.session, key(self.endpoint), _document(book), if_match=self.etag, if_absent=absent
        )
        self.book = book

    def remove(self) -> None:
        """Forget the endpoint. Safe to repeat."""
        records.delete(self.session, key(self.endpoint))
        records.delete(self.session, _stop_key(self.endpoint))
        self.book, self.etag = Book(), None


def endpoints(session: Session) -> list[str]:
    """The names of all endpoints that have a book, sorted."""
    names = (each.removeprefix(_FOLDER).removesuffix(".json") for each in records.names(session, _FOLDER))
    return sorted(name for name in names if not name.endswith(_STOP))


def key(endpoint: str) -> str:
    """Where an endpoint's book lies."""
    return f"{_FOLDER}{endpoint}.json"


def _earlier(previous: tuple[Release, ...], newest: Release | None) -> tuple[Release, ...]:
    """The earlier releases and one more; of the same deployments the newest alone, and none that nobody could make."""
    known = {each.names: each for each in previous}
    if newest is not None and newest.complete:
        known.pop(newest.names, None)
        known[newest.names] = newest
    return tuple(known.values())[-KEPT:]


def ask_to_stop(session: Session, endpoint: str, rollout: Rollout) -> None:
    """Ask whoever watches this rollout to send it back; that process holds the lease and we do not."""
    asked = {"begun": rollout.begun.isoformat(), "who": session.caller.principal}
    records.write(session, _stop_key(endpoint), asked)


def stop_asked_by(session: Session, endpoint: str, rollout: Rollout) -> str:
    """Who wants this very rollout to go back; empty when nobody does."""
    asked = records.read(session, _stop_key(endpoint))
    if asked is None or asked.document["begun"] != rollout.begun.isoformat():
        return ""
    return str(asked.document["who"])


def _stop_key(endpoint: str) -> str:
    return f"{_FOLDER}{endpoint}{_STOP}.json"


def _document(book: Book) -> Document:
    return {
        "version": VERSION,
        "current": book.current.as_document() if book.current else None,
        "previous": [release.as_document() for release in book.previous],
        "rollout": book.rollout.as_document() if book.rollout else None,
        "changed": book.changed.isoformat() if book.changed else None,
    }


def _book(document: Document) -> Book:
    if document["version"] > VERSION:
        raise CapabilityError(
            "the endpoint's record was written by a newer kit",
            given=f"version {document['version']}",
            allowed=f"version {VERSION}",
            todo="install a newer mlinfra-kit",
        )
    return Book(
        current=Release.from_document(document["current"]) if document["current"] else None,
        previous=tuple(Release.from_document(release) for release in document["previous"]),
        rollout=Rollout.from_document(document["rollout"]) if document["rollout"] else None,
        changed=datetime.fromisoformat(document["changed"]) if document["changed"] else None,
    )
