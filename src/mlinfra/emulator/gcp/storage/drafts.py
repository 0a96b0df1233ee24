"""Bytes that arrive: written to a file of their own as they come, measured and hashed, and no object before the end."""

from __future__ import annotations

import base64
import hashlib
from typing import IO, TYPE_CHECKING
from uuid import uuid4

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PIECE = 1 << 20  # bytes


class Draft:
    """One content on its way. `add` may be called for several requests, one after the other."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file = folder / uuid4().hex
        self.file.touch(mode=0o600)
        self._begin()

    @property
    def md5(self) -> str:
        """In base64, as the service tells it."""
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def md5_hex(self) -> str:
        """In hexadecimal, as entity tags of the XML API have it."""
        return self._md5.hexdigest()

    @property
    def crc32c(self) -> str:
        """Big-endian, in base64, as the service tells it."""
        return base64.b64encode(self._crc32c.to_bytes(4, "big")).decode()

    def add(self, pieces: Iterable[bytes]) -> None:
        """Append. What has arrived when the connection breaks stays."""
        with self.file.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                self._note(piece)

    def cut(self, size: int) -> None:
        """Keep the first so many bytes."""
        with self.file.open("r+b") as file:
            file.truncate(size)
            self._begin()
            for piece in pieces(file):
                self._note(piece)

    def discard(self) -> None:
        """Leave nothing behind. Safe to repeat."""
        self.file.unlink(missing_ok=True)

    def _begin(self) -> None:
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = 0

    def _note(self, piece: bytes) -> None:
        self._md5.update(piece)
        self._crc32c = google_crc32c.extend(self._crc32c, piece)
        self.size += len(piece)


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
