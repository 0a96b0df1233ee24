"""`multipart/related` bodies: a document, then the bytes, which are passed on as they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.storage import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.calls import Refusal

_LONGEST_HEAD = 1 << 20  # bytes of a part's headers, or of the document


class Related:
    """A body of two parts, read once from its begin to its end."""

    def __init__(self, pieces: Iterator[bytes], boundary: str) -> None:
        self._pieces = pieces
        self._mark = b"\r\n--" + boundary.encode()
        self._kept = b"\r\n"  # what has been read and not passed on; a line end, so that the first boundary is found

    def document(self) -> bytes:
        """The first part's content."""
        self._until(self._mark)
        self._until(b"\r\n\r\n")
        return self._until(self._mark)

    def content(self) -> tuple[str, Iterator[bytes]]:
        """The second part's type, and its content piece by piece. Call it after `document`."""
        headers = self._until(b"\r\n\r\n").decode("latin-1")
        lines = (line.partition(":") for line in headers.split("\r\n"))
        kinds = [value.strip() for name, _, value in lines if name.strip().lower() == "content-type"]
        return (kinds[0] if kinds else ""), self._bytes()

    def _until(self, mark: bytes) -> bytes:
        """What stands before a mark; the mark is passed."""
        while (at := self._kept.find(mark)) < 0:
            if len(self._kept) > _LONGEST_HEAD or not self._read():
                raise malformed()
        found, self._kept = self._kept[:at], self._kept[at + len(mark) :]
        return found

    def _bytes(self) -> Iterator[bytes]:
        while (at := self._kept.find(self._mark)) < 0:
            safe = len(self._kept) - len(self._mark) + 1
            if safe > 0:
                yield self._kept[:safe]
                self._kept = self._kept[safe:]
            if not self._read():
                raise malformed()
        yield self._kept[:at]
        self._kept = b""

    def _read(self) -> bool:
        piece = next(self._pieces, b"")
        self._kept += piece
        return bool(piece)


def malformed() -> Refusal:
    """A body that is no such one."""
    return refusals.refusal(400, "InvalidArgument", "badContent", "Malformed multipart body.")
