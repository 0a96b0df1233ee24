"""What holds for every test: no packet beyond loopback, no state of the user's own."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

_LOOPBACK_NAMES = {"localhost", "", "0.0.0.0", "::"}  # noqa: S104  compared with, not bound to


def _forbid_the_network(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if not isinstance(address, tuple):
        return  # a Unix socket
    host = str(address[0])
    if host in _LOOPBACK_NAMES or ipaddress.ip_address(host).is_loopback:
        return
    raise AssertionError(f"a test tried to reach {address}")


sys.addaudithook(_forbid_the_network)

settings.register_profile("any machine", deadline=None)  # how fast things are is the benchmarks' to say
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit's folders, choices and credentials of whoever runs the tests stay out of them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MLINFRA_HOME", str(home / "state"))
    for name in [name for name in os.environ if name.startswith(("MLINFRA_", "AWS_", "AZURE_", "GOOGLE_"))]:
        if name != "MLINFRA_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project of a user, in which the test stands."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mlinfra.toml").write_text("")
    monkeypatch.chdir(folder)
    return folder
