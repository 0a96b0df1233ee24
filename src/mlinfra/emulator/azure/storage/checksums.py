"""The service's CRC-64: polynomial 0x9A6C9329AC4BC9B5, reflected, as `x-ms-content-crc64` has it, little-endian base64.

By the REST reference of Put Blob, and the public implementations in Azure's storage clients.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_POLYNOMIAL = 0x9A6C9329AC4BC9B5
_ALL = 0xFFFFFFFFFFFFFFFF
_BYTES = 256


def crc64(pieces: Iterable[bytes]) -> str:
    """Of a content, in base64."""
    table = _table()
    state = _ALL
    for piece in pieces:
        for byte in piece:
            state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return base64.b64encode((state ^ _ALL).to_bytes(8, "little")).decode()


@cache
def _table() -> tuple[int, ...]:
    return tuple(_entry(number) for number in range(_BYTES))


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value
