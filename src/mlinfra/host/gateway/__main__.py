"""Starts an endpoint's gateway: ROOT ENDPOINT."""

from __future__ import annotations

import asyncio
import resource
import sys
from importlib.util import find_spec
from pathlib import Path

from mlinfra.host.gateway.control import Gateway


async def _run(root: str, endpoint: str) -> None:
    await Gateway(Path(root), endpoint).run()


def main(root: str, endpoint: str) -> None:
    """Run until the endpoint's end, on the quicker event loop where it is installed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft != hard else soft, hard))  # one per connection
    if find_spec("uvloop"):
        import uvloop  # noqa: PLC0415  optional

        uvloop.run(_run(root, endpoint))
    else:
        asyncio.run(_run(root, endpoint))


if __name__ == "__main__":
    main(*sys.argv[1:])
