"""The values that a job logs, as the runner appends them: one JSON object a line."""

from __future__ import annotations

import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlinfra.host.tokens import refused

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "metrics.jsonl"
_FIELDS = ("name", "value", "step", "time")


def read(folder: Path, token: str | None, limit: int) -> dict[str, Any]:
    """The next values and the token to go on from. NaN and infinities are told as the texts that `float` reads.

    Raises:
        UsageError: the token was not made here.
    """
    position = _position(token)
    path = folder / _FILE
    if not path.is_file():
        return {"metrics": [], "token": str(position)}
    points = []
    with path.open("rb") as file:
        file.seek(position)
        for raw in islice(file, limit):
            if not raw.endswith(b"\n"):  # its writer is still at it
                break
            position += len(raw)
            point = _point(raw)
            if point:
                points.append(point)
    return {"metrics": points, "token": str(position)}


def _position(token: str | None) -> int:
    if token is None or (token.isascii() and token.isdigit()):
        return int(token or 0)
    raise refused(token)


def _point(raw: bytes) -> dict[str, Any] | None:
    """One logged value, None where the line, which the job may write itself, is none."""
    try:
        point = json.loads(raw)
        value = float(point["value"])
        told = {field: point.get(field) for field in _FIELDS}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return {**told, "value": value if math.isfinite(value) else str(value)}
