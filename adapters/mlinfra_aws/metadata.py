"""What the kit keeps with a model version in SageMaker's customer metadata: 50 pairs of at most 256 characters.

The digest and the aliases stand for themselves, so that people and other tools can read and search them. The rest
travels as one document, since the values take letters, digits and `_ . : / = + - @` alone: JSON, deflated, base64.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document

DIGEST = "mlinfra:digest"
ALIAS = "alias:"
_RECORD = "mlinfra:record:"
_LONGEST = 256  # characters of a value
_MOST_PARTS = 32  # of the 50 pairs; the others are for aliases
_EXPENDABLE = ("params", "inputs")  # of the lineage, should it be too long; the job's own record has them too


def pack(digest: str, record: Document) -> dict[str, str]:
    """The pairs of a new version. A lineage that is too long loses parameters, then inputs, and says so."""
    lineage = dict(record.get("lineage", {}))
    parts = _parts(record)
    for name in _EXPENDABLE:
        if len(parts) > _MOST_PARTS and name in lineage:
            lineage[name] = {"too long": "see the job"}
            parts = _parts({**record, "lineage": lineage})
    return {DIGEST: digest, **{f"{_RECORD}{number}": part for number, part in enumerate(parts)}}


def unpack(metadata: Mapping[str, str]) -> Document:
    """The record that `pack` wrote; empty for a version of another tool."""
    parts: list[str] = []
    while (part := metadata.get(f"{_RECORD}{len(parts)}")) is not None:
        parts.append(part)
    try:
        record: Any = json.loads(zlib.decompress(base64.b64decode("".join(parts)))) if parts else {}
    except (ValueError, zlib.error):
        return {}
    return record if isinstance(record, dict) else {}


def aliases(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The aliases on a version, sorted."""
    return tuple(sorted(key.removeprefix(ALIAS) for key in metadata if key.startswith(ALIAS)))


def _parts(record: Document) -> list[str]:
    text = json.dumps(record, separators=(",", ":"), sort_keys=True).encode()
    packed = base64.b64encode(zlib.compress(text, 9)).decode()
    return [packed[start : start + _LONGEST] for start in range(0, len(packed), _LONGEST)]
