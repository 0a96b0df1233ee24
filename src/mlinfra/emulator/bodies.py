"""A request's body as it comes in: of known length or in chunks, never held whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from email.message import Message

_MOST_DRAINED = 64 * 1024 * 1024  # bytes that nobody read, for the sake of keeping a connection
_PIECE = 64 * 1024
_LONGEST_LINE = 4096


class Stream(Protocol):
    """What is read of a connection."""

    def read1(self, size: int, /) -> bytes:
        """What is there, at most so many bytes; empty where the connection has ended."""
        ...

    def readline(self, size: int, /) -> bytes:
        """A line, at most so many bytes of it."""
        ...


class Body(io.RawIOBase):
    """What a WSGI application reads from. Ends where the body ends; a connection that breaks is a ConnectionError."""

    def __init__(self, stream: Stream, length: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = length

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffers that io passes
        """Read what is there, at most as much as the buffer takes."""
        wanted = min(len(buffer), self._room())
        if not wanted:
            return 0
        data = self._stream.read1(wanted)
        if not data:
            raise ConnectionResetError("the client went away in the middle of a body")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> bool:
        """Read what the application left. False where that is too much, or broken: the connection must close."""
        drained = 0
        piece = bytearray(_PIECE)
        try:
            while count := self.readinto(piece):
                drained += count
                if drained > _MOST_DRAINED:
                    return False
        except (OSError, ValueError):
            return False
        return True

    def _room(self) -> int:
        """How many bytes may be read before the next look."""
        return self._left


class ChunkedBody(Body):
    """A body with `Transfer-Encoding: chunked`."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream, 0)
        self._begun = False
        self._ended = False

    def _room(self) -> int:
        if not self._left and not self._ended:
            self._next()
        return self._left

    def _next(self) -> None:
        if self._begun:
            self._line()  # the line end after a chunk
        self._begun = True
        self._left = int(self._line().split(b";")[0], 16)
        if not self._left:
            self._ended = True
            while self._line():  # trailers
                pass

    def _line(self) -> bytes:
        line = self._stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the client went away in the middle of a chunk")
        return line.strip()


def body_of(headers: Message, stream: Stream) -> Body:
    """The body that the headers announce. ValueError where they make no sense."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return ChunkedBody(stream)
    length = headers.get("Content-Length", "0").strip()
    if not (length.isascii() and length.isdigit()):
        raise ValueError(f"Content-Length is no number: {length!r}")
    return Body(stream, int(length))
