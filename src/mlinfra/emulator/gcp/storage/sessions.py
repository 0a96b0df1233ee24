"""Resumable uploads: a session takes the bytes in as many requests as it pleases, and tells how far it has come."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.emulator.gcp.storage import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.gcp.storage.access import Access
    from mlinfra.emulator.gcp.storage.drafts import Draft
    from mlinfra.emulator.gcp.storage.records import Stored
    from mlinfra.emulator.gcp.storage.shelf import Write

_RANGE = re.compile(r"bytes (?:(?P<begin>\d+)-(?P<end>\d+)|\*)/(?P<total>\d+|\*)")
_UNIT = 256 * 1024  # bytes: every request but the last brings a multiple of it


class Span(NamedTuple):
    """A Content-Range: `begin` is None where no bytes come, `total` where it is not known yet."""

    begin: int | None
    length: int | None
    total: int | None


@dataclass
class Session:
    """One upload. Its address is all the authorisation that it needs, so its opener's name stays with it."""

    bucket: str
    name: str
    draft: Draft
    write: Write
    access: Access
    hashes: dict[str, str]
    done: Stored | None = None
    lock: RLock = field(default_factory=RLock)

    def take(self, span: Span, pieces: Iterator[bytes]) -> bool:
        """Take the bytes of one request. Tells whether all have come. Of a request that breaks, whole units are kept.

        Raises:
            Refusal: they do not follow those that are there, or are too few.
        """
        if span.begin is None:
            return self.draft.size == span.total
        if span.begin > self.draft.size:
            raise refusals.invalid(f"Invalid request. The upload has {self.draft.size} bytes, not {span.begin}.")
        try:
            self.draft.add(_skipped(pieces, self.draft.size - span.begin))
        except ConnectionError:
            self.draft.cut(self.draft.size // _UNIT * _UNIT)
            raise
        whole = span.length is None or self.draft.size == span.total
        if not whole and self.draft.size % _UNIT:
            raise refusals.invalid(
                "Invalid request. The number of bytes uploaded is required to be equal or greater than 262144, "
                "except for the final request (it's recommended to be the exact multiple of 262144)."
            )
        return whole

    def progress(self) -> str:
        """The Range header that tells which bytes are there; empty without any."""
        return f"bytes=0-{self.draft.size - 1}" if self.draft.size else ""


class Sessions:
    """The uploads that are open. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, Session] = {}

    def open(self, session: Session) -> str:
        """Keep a session. Returns its id."""
        upload_id = secrets.token_urlsafe(48)
        with self._lock:
            self._open[upload_id] = session
        return upload_id

    def get(self, upload_id: str) -> Session:
        """An open session.

        Raises:
            Refusal: there is none.
        """
        with self._lock:
            session = self._open.get(upload_id)
        if session is None:
            raise refusals.no_upload()
        return session

    def drop(self, upload_id: str) -> None:
        """End a session and forget its bytes. Safe to repeat."""
        with self._lock:
            session = self._open.pop(upload_id, None)
        if session and session.done is None:
            session.draft.discard()


def span(header: str) -> Span:
    """What a Content-Range says; without one the whole content comes.

    Raises:
        Refusal: it says nothing that makes sense.
    """
    if not header:
        return Span(0, None, None)
    match = _RANGE.fullmatch(header)
    if match is None:
        raise refusals.invalid("Failed to parse Content-Range header.")
    total = None if match["total"] == "*" else int(match["total"])
    if match["begin"] is None:
        return Span(None, None, total)
    return Span(int(match["begin"]), int(match["end"]) - int(match["begin"]) + 1, total)


def _skipped(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The pieces without the first so many bytes, which are there already."""
    for piece in pieces:
        if count < len(piece):
            yield piece[count:]
        count = max(0, count - len(piece))
