"""Predictions to bytes, in the form that the client accepts.

NaN and infinities become null, in CSV an empty cell: JSON has no other word for them.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.serving.columnar import encode_arrow, encode_npy
from mlinfra.serving.messages import ARROW, CSV, JSON, JSON_LINES, NPY, Refusal, Response

if TYPE_CHECKING:
    from collections.abc import Callable

_JSON_NAMES = (b"application/json", b"application/*", b"*/*")
_LINES_NAMES = (b"application/jsonlines", b"application/x-ndjson", b"application/jsonl", b"application/x-jsonlines")
_CSV_NAMES = (b"text/csv", b"text/*")


def encoder(accept: bytes | None) -> Callable[[list[Any]], Response]:
    """The function that writes predictions as the Accept header wishes; a 406 Refusal where it cannot."""
    found = _ENCODERS.get(accept or b"*/*")
    return found or _preferred(accept or b"")


def encode_json(predictions: list[Any]) -> Response:
    """`{"predictions": […]}`."""
    return Response(200, b'{"predictions":%b}' % _dumps(predictions))


def _encode_lines(predictions: list[Any]) -> Response:
    return Response(200, b"".join(_dumps(item) + b"\n" for item in predictions), JSON_LINES)


def _encode_csv(predictions: list[Any]) -> Response:
    text = io.StringIO(newline="")
    plain = orjson.loads(_dumps(predictions))  # NaN and infinities to None
    rows = (item if isinstance(item, list) else [item] for item in plain)
    csv.writer(text, lineterminator="\n").writerows(rows)
    return Response(200, text.getvalue().encode(), CSV)


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value)


def _preferred(accept: bytes) -> Callable[[list[Any]], Response]:
    wishes = [_wish(part) for part in accept.lower().split(b",")]
    for name, quality in sorted(wishes, key=lambda wish: -wish[1]):
        if quality > 0 and name in _ENCODERS:
            return _ENCODERS[name]
    offered = ", ".join(name.decode() for name in (JSON, JSON_LINES, CSV, NPY, ARROW))
    raise Refusal(406, "NotAcceptable", f"answers come as {offered}")


def _wish(part: bytes) -> tuple[bytes, float]:
    """A media range and its quality; parameters other than q mean nothing here."""
    name, *parameters = (piece.strip() for piece in part.split(b";"))
    qualities = [piece[2:] for piece in parameters if piece.startswith(b"q=")]
    try:
        return name, float(qualities[0]) if qualities else 1.0
    except ValueError:
        return name, 0.0


_ENCODERS: dict[bytes, Callable[[list[Any]], Response]] = {
    **dict.fromkeys(_JSON_NAMES, encode_json),
    **dict.fromkeys(_LINES_NAMES, _encode_lines),
    **dict.fromkeys(_CSV_NAMES, _encode_csv),
    NPY: encode_npy,
    ARROW: encode_arrow,
}
