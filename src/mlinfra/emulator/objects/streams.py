"""Bytes of objects on their way: piece by piece, never whole in memory."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE = 1 << 20  # bytes


def pieces(source: IO[bytes], length: int | None = None) -> Iterator[bytes]:
    """A stream piece by piece, at most `length` bytes of it."""
    left = length
    while left is None or left > 0:
        piece = source.read(PIECE if left is None else min(PIECE, left))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def arriving(source: IO[bytes]) -> Iterator[bytes]:
    """The body of a request as it comes in, so that nothing that has arrived is lost where the connection breaks."""
    while piece := source.read1(PIECE):  # type: ignore[attr-defined]  # the server's bodies are BufferedReaders
        yield piece


def of_file(path: Path) -> Iterator[bytes]:
    """A file piece by piece."""
    with path.open("rb") as file:
        yield from pieces(file)


class Part:
    """A part of an open file, as a WSGI answer; the file is closed in the end, however it comes."""

    def __init__(self, file: IO[bytes], begin: int, length: int) -> None:
        self._file = file
        self._begin = begin
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._begin)
        return pieces(self._file, self._length)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
