"""How an emulated environment is reached: by what it says itself, and never beyond this machine."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlinfra.errors import SpecError

if TYPE_CHECKING:
    from mlinfra.environment import Environment


def token(environment: Environment) -> str:
    """The token that the environment brings: nothing is read from this machine.

    Raises:
        SpecError: it brings none.
    """
    given = environment.native.get("credentials") or {}
    if "token" not in given:
        raise SpecError(
            "an emulated environment brings its own credentials",
            given=environment.name,
            allowed="native.credentials with token and principal",
            todo="`mlinfra emulator seed` writes them",
        )
    return str(given["token"])


def authority(environment: Environment) -> str:
    """The file with the emulator's own certificate authority; empty for the system's."""
    if not environment.emulated:
        return ""
    return str((environment.native.get("emulator") or {}).get("ca_file", ""))


def refuse_beyond_loopback(name: str, url: str) -> None:
    """Let addresses of this machine pass.

    Raises:
        SpecError: it is another's.
    """
    if not is_loopback(url):
        raise SpecError(
            "an emulated environment must not lead beyond this machine",
            given=f"{name}: {url}",
            allowed="addresses of this machine: https://localhost:…",
            todo="correct `endpoints`, or write `emulated: false`",
        )


def is_loopback(url: str) -> bool:
    """Whether an address, with or without a scheme before `//`, is one of this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
