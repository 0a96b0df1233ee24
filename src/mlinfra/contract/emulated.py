"""How an emulated environment is reached: by what it says itself, and never beyond this machine."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlinfra.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment


def credentials(environment: Environment, *names: str) -> dict[str, str]:
    """The credentials that the environment brings: nothing is read from this machine.

    Raises:
        SpecError: one of the names is missing.
    """
    given: Mapping[str, object] = environment.native.get("credentials") or {}
    if not set(names) <= set(given):
        raise SpecError(
            "an emulated environment brings its own credentials",
            given=environment.name,
            allowed=f"native.credentials with {' and '.join(names)}",
            todo="`mlinfra emulator seed` writes them",
        )
    return {name: str(value) for name, value in given.items()}


def authority(environment: Environment) -> str:
    """The file with the emulator's own certificate authority; empty for the system's."""
    if not environment.emulated:
        return ""
    return str((environment.native.get("emulator") or {}).get("ca_file", ""))


def refuse_beyond_loopback(addresses: Mapping[str, str]) -> None:
    """Let addresses of this machine pass, each under the name that it has in `endpoints`.

    Raises:
        SpecError: names every one that is another's.
    """
    beyond = {name: url for name, url in addresses.items() if not is_loopback(url)}
    if beyond:
        raise SpecError(
            "an emulated environment must not lead beyond this machine",
            given=", ".join(f"{name}: {url}" for name, url in beyond.items()),
            allowed="addresses of this machine: http://127.0.0.1:…, https://localhost:…",
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
