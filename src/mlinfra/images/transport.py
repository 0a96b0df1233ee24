"""One HTTP request with a streamed body, through the standard library: proxies and CA files as the user has set them.

Redirects are not followed here, since where they lead decides which credentials may go along.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, TYPE_CHECKING

from mlinfra import __version__
from mlinfra.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message

_PATIENCE = 60.0  # seconds without a byte
_MOST = 16 << 20  # bytes of an answer that is read into memory
_OK = 200


@dataclass(frozen=True)
class Body:
    """Bytes to send. `open` gives a fresh stream, so that a request can be sent again."""

    open: Callable[[], IO[bytes]]
    size: int
    kind: str = "application/octet-stream"


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end unless it was asked for as a stream. Header names compare without case."""

    url: str
    status: int
    headers: Message
    content: bytes = b""
    stream: IO[bytes] | None = None


class Transport:
    """Sends requests. Safe from several threads."""

    def __init__(self, ca_bundle: str = "") -> None:
        context = ssl.create_default_context(cafile=ca_bundle or None)
        handlers = (_Unfollowed(), urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._direct = urllib.request.build_opener(*handlers, urllib.request.ProxyHandler({}))
        for opener in (self._opener, self._direct):
            opener.addheaders = [("User-Agent", f"mlinfra/{__version__}")]

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None, *, streamed: bool = False
    ) -> Reply:
        """Send one request; an answer of any status is returned. Blocks.

        With `streamed`, the caller reads and closes the stream of an answer 200.

        Raises:
            Unavailable: there was no answer, or it broke off, or it is far too large for what is read at once.
        """
        stream = body.open() if body else None
        request = urllib.request.Request(url, data=stream, method=method, headers=dict(headers))  # noqa: S310  http and https alone come here
        if body:
            request.add_unredirected_header("Content-Length", str(body.size))
            request.add_unredirected_header("Content-Type", body.kind)
        try:
            return self._ask(request, streamed=streamed)
        except (OSError, HTTPException) as exc:
            reason = getattr(exc, "reason", None) or exc
            raise Unavailable("the registry gives no answer", given=f"{_shown(url)}: {reason}") from exc
        finally:
            if stream:
                stream.close()

    def _ask(self, request: urllib.request.Request, *, streamed: bool) -> Reply:
        opener = self._direct if request.type == "http" else self._opener  # plain HTTP stays on this machine
        try:
            answer = opener.open(request, timeout=_PATIENCE)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        url, status = request.full_url, answer.status
        if streamed and status == _OK:
            return Reply(url, status, answer.headers, stream=answer)
        with answer:
            content = answer.read(_MOST + 1)
        if len(content) > _MOST:
            raise Unavailable(f"the registry's answer is larger than {_MOST} bytes", given=_shown(url))
        return Reply(url, status, answer.headers, content)


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """Hands a redirect to the caller as the answer that it is."""

    def redirect_request(self, *_: object) -> None:
        return None


def _shown(url: str) -> str:
    """An address without its query, which may hold a signature."""
    return url.partition("?")[0]
