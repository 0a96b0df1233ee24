"""A model server's error as SageMaker passes it on: cut off where it is long (ModelError's OriginalMessage)."""

from __future__ import annotations

import json
from typing import Any

_ROWS = '"rows":'


def whole(text: str) -> str:
    """The text; of an error that was cut off within its list of refused cells, one with the cells that arrived."""
    try:
        json.loads(text)
    except ValueError:
        rows = _rows(text)
        if rows:
            error = {"message": "the model's schema refuses this input", "rows": rows}
            return json.dumps({"error": error})
    return text


def _rows(text: str) -> list[Any]:
    """The objects of the list behind `"rows":`, as many as are whole."""
    _, found, rest = text.partition(_ROWS)
    rows: list[Any] = []
    decoder = json.JSONDecoder()
    rest = rest.lstrip().removeprefix("[")
    while found:
        rest = rest.lstrip(" \n,")
        try:
            row, end = decoder.raw_decode(rest)
        except ValueError:
            break
        rows.append(row)
        rest = rest[end:]
    return rows
