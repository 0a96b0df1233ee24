"""Requests as they were read, the headers that belong to one connection alone, and answers of the gateway's own."""

from __future__ import annotations

import json
from http import HTTPStatus

DEPLOYMENT = b"mlinfra-deployment"  # in a request it asks for one deployment, in an answer it names who gave it
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Request:
    """One request, whole. `head` holds the header lines that go on to the model server."""

    __slots__ = ("body", "head", "hesitates", "keep_alive", "method", "modern", "pinned", "size", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.head: list[bytes] = []
        self.body: list[bytes] = []
        self.size = 0
        self.pinned = ""
        self.hesitates = False  # waits for a word before it sends its body
        self.keep_alive = True
        self.modern = True  # HTTP/1.1, which knows chunks

    @property
    def counts(self) -> bool:
        """Whether it is a prediction, and not a look at health or metadata."""
        return self.method not in {b"GET", b"HEAD", b"OPTIONS"}

    def encode(self) -> bytes:
        """The request as the model server gets it, its length stated anew."""
        length = b"content-length: %d\r\n\r\n" % self.size if self.size or self.counts else b"\r\n"
        return b"".join((self.method, b" ", self.target, b" HTTP/1.1\r\n", *self.head, length, *self.body))


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return b"HTTP/1.1 %d %s\r\n" % (status, _REASONS.get(status, b"Unknown"))


def answer(status: int, message: str, *, deployment: str = "", close: bool = False, head_only: bool = False) -> bytes:
    """An answer of the gateway's own: JSON that says what is wrong."""
    body = json.dumps({"error": {"code": status, "message": message}}).encode()
    return document(status, body, deployment=deployment, close=close, head_only=head_only)


def document(status: int, body: bytes, *, deployment: str = "", close: bool = False, head_only: bool = False) -> bytes:
    """A whole answer with a JSON body."""
    lines = [status_line(status), b"content-type: application/json\r\n", b"content-length: %d\r\n" % len(body)]
    if deployment:
        lines.append(b"%s: %s\r\n" % (DEPLOYMENT, deployment.encode()))
    if close:
        lines.append(b"connection: close\r\n")
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        lines.append(b"retry-after: 1\r\n")
    return b"".join((*lines, b"\r\n", b"" if head_only else body))
