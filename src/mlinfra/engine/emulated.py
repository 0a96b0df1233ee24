"""Environments behind which an emulator stands: where it is, and whether it is still there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlinfra.errors import Unavailable

if TYPE_CHECKING:
    from mlinfra.environment import Environment

EMULATOR = "emulator"  # the entry of `native` that tells `url` and `folder` of the emulator
_TIMEOUT = 2.0  # s; it is on this machine


def check_emulator(environment: Environment) -> None:
    """Nothing, where the environment's emulator listens, or the environment does not tell where it is.

    Raises:
        Unavailable: nobody listens there.
    """
    url = environment.native.get(EMULATOR, {}).get("url", "")
    parts = urlsplit(url)
    if not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=_TIMEOUT).close()
    except OSError as exc:
        raise Unavailable(
            f"the emulator of {environment.name} does not run",
            given=url,
            todo=f"`mlinfra emulator start {environment.platform}` starts a new one, without what the last one held",
            sent=False,
        ) from exc
