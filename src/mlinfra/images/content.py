"""Naming by content: digests, and JSON in the one form that gives the same bytes everywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Any

EPOCH = 315_532_800  # 1980: the earliest time that a zip can hold, so that tools inside the image may zip these files
CREATED = "1980-01-01T00:00:00Z"


def digest_of(content: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def canonical(document: Any) -> bytes:
    """JSON with sorted keys and no blanks."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
