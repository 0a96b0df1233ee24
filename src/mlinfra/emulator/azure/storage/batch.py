"""Several deletions in one request: `multipart/mixed`, each part a whole HTTP request of its own.

By the REST reference's "Blob Batch".
"""

from __future__ import annotations

from email import message_from_bytes
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from mlinfra.emulator.azure.storage import refusals
from mlinfra.emulator.azure.storage.names import host_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from email.message import Message
    from wsgiref.types import WSGIEnvironment

    from mlinfra.emulator.azure.storage.names import Address

_MOST_CALLS = 256
_LARGEST = 4 << 20  # bytes
_LINE = "\r\n"
_OUTER = {"host", "content-length"}


def answered(request: Request, at: Address, answer: Callable[[WSGIEnvironment], Response]) -> Response:
    """The answers of all calls in a batch, in their order; one that fails leaves the others alone.

    Raises:
        Refusal: it is no batch, or too large.
    """
    kind = request.headers.get("Content-Type", "").encode("latin-1")
    body = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + request.stream.read(_LARGEST))
    parts = list(body.walk())[1:] if body.is_multipart() else []
    if not 0 < len(parts) <= _MOST_CALLS:
        message = "One of the request inputs is not valid: a batch has 1 to 256 operations."
        raise refusals.refusal(400, "InvalidInput", message)
    boundary = f"batchresponse_{uuid4()}"
    told = [_told(part.get("Content-ID", ""), answer(_environ(part, request, at))) for part in parts]
    content = b"".join(f"--{boundary}{_LINE}".encode() + each for each in told) + f"--{boundary}--{_LINE}".encode()
    return Response(content, 202, content_type=f"multipart/mixed; boundary={boundary}")


def _environ(part: Message, outer: Request, at: Address) -> WSGIEnvironment:
    """A part as a request that came by itself; what it does not say of itself the batch says for it."""
    payload = part.get_payload(decode=True)
    line, _, rest = (payload if isinstance(payload, bytes) else b"").lstrip().partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) < 2 or words[0] != "DELETE":  # noqa: PLR2004  a method and a target
        raise refusals.not_emulated("A batch of anything but deletions")
    inner = message_from_bytes(rest)
    target = urlsplit(words[1])
    path = _path(target.path, outer, at)
    headers = Headers(_headers(inner.items()))
    for name in ("Authorization", "x-ms-version"):
        if outer.headers.get(name):
            headers.setdefault(name, outer.headers[name])
    query = target.query if "sig=" in target.query else _joined(target.query, outer)
    builder = EnvironBuilder(
        path=path, base_url=outer.host_url, method=words[0], query_string=query, headers=headers, data=b""
    )
    return {**builder.get_environ(), "RAW_URI": path}


def _path(path: str, outer: Request, at: Address) -> str:
    """The path with the account in front, where the outer request's has it: clients leave it out, or do not."""
    if host_account(outer.host) or unquote(path).startswith(f"/{at.account}/"):
        return path
    return f"/{at.account}{path}"


def _joined(query: str, outer: Request) -> str:
    """With the batch's own signature, where it has one."""
    told = [
        part
        for part in outer.query_string.decode("latin-1").split("&")
        if part.partition("=")[0] not in {"comp", "restype", "timeout"}
    ]
    return "&".join(part for part in (query, *told) if part)


def _headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in pairs if name.lower() not in _OUTER]


def _told(content_id: str, response: Response) -> bytes:
    head = ["Content-Type: application/http"]
    if content_id:
        head.append(f"Content-ID: {content_id}")
    lines = [f"HTTP/1.1 {response.status}", *(f"{name}: {value}" for name, value in response.headers)]
    return f"{_LINE.join(head)}{_LINE * 2}{_LINE.join(lines)}{_LINE * 2}".encode() + response.get_data() + b"\r\n"
