"""The kit's HTTP layer with a handler that answers the same to everything: what a request costs without a model."""

from __future__ import annotations

import asyncio
import sys
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import uvloop

from mlinfra.serving.http import Connection
from mlinfra.serving.messages import Request, Response
from mlinfra.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


class Empty:
    """What a connection asks of the server behind it."""

    settings = Settings()
    draining = False
    buffered = 0

    def __init__(self, soon: Callable[..., object]) -> None:
        self.soon = soon
        self.now = time.monotonic()
        self.date = formatdate(usegmt=True).encode()

    def enter(self, _connection: Connection) -> bool:
        """Everybody may come."""
        return True

    def leave(self, _connection: Connection) -> None:
        """And go."""

    def refused(self, _refusal: object) -> None:
        """Nobody counts."""

    def answer(self, _request: Request, _connection: Connection) -> Response:
        """Nothing, quickly."""
        return Response(200, b'{"predictions":[1]}')


async def main(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    app = Empty(loop.call_soon)
    server = await loop.create_server(lambda: Connection(app), "127.0.0.1", port)  # type: ignore[arg-type]  # in its place
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
