"""One look at a health route."""

from __future__ import annotations

import asyncio

from mlinfra.host.ports import LOOPBACK

PATIENCE = 2.0  # seconds for an answer, as the clouds give


async def is_healthy(port: int, route: str) -> bool:
    """Whether GET `route` is answered with 200 in time."""
    try:
        return await asyncio.wait_for(_ask(port, route), PATIENCE)
    except (OSError, TimeoutError, asyncio.LimitOverrunError, ValueError):
        return False


async def _ask(port: int, route: str) -> bool:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(f"GET {route} HTTP/1.1\r\nhost: {LOOPBACK}:{port}\r\nconnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split()
        return len(words) > 1 and words[1] == b"200"
    finally:
        writer.transport.abort()
