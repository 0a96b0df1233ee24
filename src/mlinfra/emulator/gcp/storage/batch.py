"""Several calls of the JSON API in one request: `multipart/mixed`, each part a whole HTTP request of its own."""

from __future__ import annotations

from email import message_from_bytes
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from mlinfra.emulator.gcp.storage.related import malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from email.message import Message
    from wsgiref.types import WSGIEnvironment

    from werkzeug.wrappers import Request

_MOST_CALLS = 100  # by the documentation of batch requests
_LARGEST = 10 << 20  # bytes, as well
_LINE = "\r\n"
_OUTER = {"host", "content-length"}


def answered(request: Request, answer: Callable[[WSGIEnvironment], Response]) -> Response:
    """The answers of all calls in a batch, in their order; one that fails leaves the others alone.

    Raises:
        Refusal: it is no batch, or too large.
    """
    kind = request.headers.get("Content-Type", "").encode("latin-1")
    body = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + request.stream.read(_LARGEST))
    parts = list(body.walk())[1:] if body.is_multipart() else []
    if not 0 < len(parts) <= _MOST_CALLS:
        raise malformed()
    outer = request.headers.get("Authorization", "")
    boundary = f"batch_{uuid4().hex}"
    told = [_told(part.get("Content-ID", ""), answer(_environ(part, outer, request.host_url))) for part in parts]
    content = b"".join(f"--{boundary}{_LINE}".encode() + each for each in told) + f"--{boundary}--{_LINE}".encode()
    return Response(content, content_type=f"multipart/mixed; boundary={boundary}")


def _environ(part: Message, outer: str, base: str) -> WSGIEnvironment:
    """A part as a request that came by itself; without credentials of its own it has the batch's."""
    payload = part.get_payload(decode=True)
    line, _, rest = (payload if isinstance(payload, bytes) else b"").lstrip().partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) < 2:  # noqa: PLR2004  a method and a target
        raise malformed()
    inner = message_from_bytes(rest)
    body = inner.get_payload(decode=True)
    target = urlsplit(words[1])
    headers = Headers(_headers(inner.items()))
    if outer:
        headers.setdefault("Authorization", outer)
    builder = EnvironBuilder(
        path=target.path,
        base_url=base,
        method=words[0],
        query_string=target.query,
        headers=headers,
        data=body if isinstance(body, bytes) else b"",
    )
    return {**builder.get_environ(), "RAW_URI": target.path}


def _headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in pairs if name.lower() not in _OUTER]


def _told(content_id: str, response: Response) -> bytes:
    head = ["Content-Type: application/http"]
    if content_id:
        head.append(f"Content-ID: <response-{content_id.strip('<>')}>")
    lines = [f"HTTP/1.1 {response.status}", *(f"{name}: {value}" for name, value in response.headers)]
    return f"{_LINE.join(head)}{_LINE * 2}{_LINE.join(lines)}{_LINE * 2}".encode() + response.get_data() + b"\r\n"
