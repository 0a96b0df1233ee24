"""The common dialect: rows in, `{"predictions": […]}` out, as SageMaker, Vertex AI, Azure ML and KServe v1 have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.serving.bulk import WORTHWHILE, read_matrix
from mlinfra.serving.columnar import arrow_rows, npy_rows
from mlinfra.serving.csvrows import csv_rows
from mlinfra.serving.decode import json_rows, lines_rows
from mlinfra.serving.encode import encoder
from mlinfra.serving.messages import ARROW, CSV, JSON, JSON_LINES, NPY, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.serving.exchange import Exchange
    from mlinfra.serving.models import Model

# what clients send that name no type at all, or whose tool names one for them
_AS_JSON = (b"", JSON, b"application/x-www-form-urlencoded", b"application/octet-stream", b"text/plain")
_AS_LINES = (JSON_LINES, b"application/x-ndjson", b"application/jsonl", b"application/x-jsonlines")


def answer(exchange: Exchange) -> None:
    """Read the rows, predict, write the answer; raises Refusal."""
    request, model = exchange.request, exchange.model
    headers = request.headers
    content_type = headers.get(b"content-type", b"")
    read = _READERS.get(content_type) or _reader(content_type)
    encode = encoder(headers.get(b"accept"))
    exchange.rows = rows = read(request.body, model)
    exchange.predictions = predictions = model.predict(rows)
    exchange.response = encode(predictions)


def _json(body: bytes, model: Model) -> Any:
    if model.matrix is not None:
        matrix = model.matrix.read(body)
        if matrix is None and len(body) >= WORTHWHILE:
            matrix = read_matrix(body, model)
        if matrix is not None:
            return matrix
    return json_rows(body, model)


def _reader(content_type: bytes) -> Callable[[bytes, Model], Any]:
    """For a content type with parameters, or an unknown one."""
    name, *parameters = (piece.strip() for piece in content_type.lower().split(b";"))
    given = dict(piece.partition(b"=")[::2] for piece in parameters)
    charset = given.get(b"charset", b"utf-8").strip(b'"')
    if charset not in (b"utf-8", b"utf8", b"us-ascii"):
        raise Refusal(415, "UnsupportedMediaType", "bodies are taken in UTF-8")
    if name == CSV:
        header = given.get(b"header", b"").decode("latin-1")
        return lambda body, model: csv_rows(body, model, header)
    if name not in _READERS:
        offered = ", ".join(kind.decode() for kind in (JSON, JSON_LINES, CSV, NPY, ARROW))
        raise Refusal(415, "UnsupportedMediaType", f"bodies are taken as {offered}")
    return _READERS[name]


_READERS: dict[bytes, Callable[[bytes, Model], Any]] = {
    **dict.fromkeys(_AS_JSON, _json),
    **dict.fromkeys(_AS_LINES, lines_rows),
    CSV: lambda body, model: csv_rows(body, model, ""),
    NPY: npy_rows,
    ARROW: arrow_rows,
}
