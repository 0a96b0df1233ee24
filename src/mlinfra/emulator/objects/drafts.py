"""Bytes that arrive: written to a file of their own as they come, measured and hashed, and no object before the end."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from uuid import uuid4

from mlinfra.emulator.objects.streams import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Draft:
    """One content on its way. `add` may be called for several requests, one after the other."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file = folder / uuid4().hex
        self.file.touch(mode=0o600)
        self.begin()

    @property
    def md5(self) -> str:
        """In base64, as object stores tell it."""
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def md5_hex(self) -> str:
        """In hexadecimal, as entity tags have it."""
        return self._md5.hexdigest()

    def add(self, parts: Iterable[bytes]) -> None:
        """Append. What has arrived when the connection breaks stays."""
        with self.file.open("ab") as file:
            for piece in parts:
                file.write(piece)
                self.note(piece)

    def cut(self, size: int) -> None:
        """Keep the first so many bytes."""
        with self.file.open("r+b") as file:
            file.truncate(size)
            self.begin()
            for piece in pieces(file):
                self.note(piece)

    def discard(self) -> None:
        """Leave nothing behind. Safe to repeat."""
        self.file.unlink(missing_ok=True)

    def begin(self) -> None:
        """Measure and hash from nothing."""
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def note(self, piece: bytes) -> None:
        """Measure and hash a piece more."""
        self._md5.update(piece)
        self.size += len(piece)
