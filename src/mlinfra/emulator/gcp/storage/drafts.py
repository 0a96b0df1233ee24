"""Bytes that arrive at Cloud Storage: hashed as it hashes them."""

from __future__ import annotations

import base64

import google_crc32c

from mlinfra.emulator.objects import drafts


class Draft(drafts.Draft):
    """One content on its way, with the checksum that the service tells beside the MD5."""

    @property
    def crc32c(self) -> str:
        """Big-endian, in base64, as the service tells it."""
        return base64.b64encode(self._crc32c.to_bytes(4, "big")).decode()

    def begin(self) -> None:
        """Measure and hash from nothing."""
        super().begin()
        self._crc32c = 0

    def note(self, piece: bytes) -> None:
        """Measure and hash a piece more."""
        super().note(piece)
        self._crc32c = google_crc32c.extend(self._crc32c, piece)
