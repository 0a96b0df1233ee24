"""Requests and responses as the server's parts hand them to each other."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = b"application/json"
JSON_LINES = b"application/jsonlines"
CSV = b"text/csv"
NPY = b"application/x-npy"
ARROW = b"application/vnd.apache.arrow.stream"
TEXT = b"text/plain; version=0.0.4; charset=utf-8"
BINARY = b"application/octet-stream"


class Request:
    """One request, complete but for its connection's own matters. Header names are lower case."""

    # defaults of the class: one is made for every request, and most of them set few of these
    method = b""
    target = b""
    body = b""
    size = 0  # bytes of body that count against the server's memory
    keep_alive = True
    old = False  # HTTP/1.0
    refusal: Response | None = None  # the answer, where the protocol layer already knows it
    started = 0.0  # perf_counter seconds
    id = b""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}


class Response:
    """An answer. `headers` holds complete extra header lines; `close` ends the connection after it."""

    __slots__ = ("body", "close", "content_type", "headers", "status")

    def __init__(
        self, status: int, body: bytes, content_type: bytes = JSON, *, headers: bytes = b"", close: bool = False
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.close = close


class Refusal(Exception):
    """A request that is not answered with predictions: the status, a code for programs, words for people.

    `rows` holds the refused cells as `Schema.check` gives them.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        rows: Sequence[dict[str, Any]] = (),
        headers: bytes = b"",
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.rows = rows
        self.headers = headers
        self.close = close

    def response(self) -> Response:
        """`{"error": {"code", "message", "rows"?}}`."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.rows:
            error["rows"] = list(self.rows)
        return Response(self.status, orjson.dumps({"error": error}), headers=self.headers, close=self.close)

    def v2_response(self) -> Response:
        """As `response`, in Open Inference's form: a plain string under `error`; the cells stand beside it."""
        document: dict[str, Any] = {"error": self.message, "code": self.code}
        if self.rows:
            document["rows"] = list(self.rows)
        return Response(self.status, orjson.dumps(document), headers=self.headers, close=self.close)


def bad_request(message: str, code: str = "MalformedRequest") -> Refusal:
    """A 400 after which the connection may go on."""
    return Refusal(400, code, message)


def json_response(document: Any, status: int = 200) -> Response:
    """A document as an answer."""
    return Response(status, orjson.dumps(document))


STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
