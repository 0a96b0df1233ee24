"""An emulator of Azure for each test, and the vendor's own clients at it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
from azure.core.credentials import AccessToken

from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.isolation import isolated
from mlinfra.emulator.settings import Settings
from mlinfra.host import isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from mlinfra.environment import AzureEnvironment

VERSION = "2025-12-01"
_FAR = 4102444800  # a moment in 2100


class Fixed:
    """A credential of azure-core that always shows one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, _FAR)


@pytest.fixture
def emulator_settings() -> Settings:
    """How the emulator behaves; a test or a module may say otherwise."""
    return Settings(delays_scale=0.0, quotas=False)


@pytest.fixture(autouse=True)
def _own_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine trusts must not win over what a client is told to."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def emulator(tmp_path: Path, emulator_settings: Settings) -> Iterator[AzureEmulator]:
    with AzureEmulator(tmp_path / "emulator", emulator_settings) as running:
        yield running


@pytest.fixture
def environment(emulator: AzureEmulator) -> AzureEnvironment:
    return emulator.environment()


@pytest.fixture
def token(emulator: AzureEmulator, environment: AzureEnvironment) -> Callable[..., str]:
    """A token that every service takes: `token()`, or of another: `token("approver")`."""
    return lambda principal="deployer": emulator.credentials(principal).token


@pytest.fixture
def credential(token: Callable[..., str]) -> Callable[..., Fixed]:
    """A credential for the vendor's clients: `credential()`, `credential("trainer")`."""
    return lambda principal="deployer": Fixed(token(principal))


@pytest.fixture
def session(emulator: AzureEmulator, token: Callable[..., str]) -> Iterator[Callable[..., requests.Session]]:
    """HTTP in somebody's name, with the emulator's authority: `session("approver")`."""
    opened: list[requests.Session] = []

    def make(principal: str = "deployer") -> requests.Session:
        made = requests.Session()
        made.trust_env = False
        made.verify = str(emulator.ca_file)
        made.headers["Authorization"] = f"Bearer {token(principal)}"
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def arm(emulator: AzureEmulator, session: Callable[..., requests.Session]) -> Callable[..., requests.Response]:
    """ARM over plain HTTP: `arm("PUT", "models/m/versions/1", {…})`; a path with a slash before it is whole."""

    def ask(
        method: str,
        path: str,
        body: Any = None,
        *,
        principal: str = "deployer",
        version: str = VERSION,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> requests.Response:
        whole = path if path.startswith("/") else emulator.place.child(path)
        asked = {name.replace("__", "$"): value for name, value in query.items()} | {"api-version": version}
        url = path if path.startswith("https://") else f"{emulator.secure}{whole}"
        params = None if path.startswith("https://") else asked
        return session(principal).request(method, url, params=params, json=body, headers=headers)

    return ask


@pytest.fixture
def apart(emulator: AzureEmulator, environment: AzureEnvironment, tmp_path: Path) -> Callable[..., None]:
    """Run a script of the vendor's clients in a process that knows the emulator by `emulator env`'s variables alone.

    `MLClient` calls storage accounts by hosts of their own; the process has an `/etc/hosts` that knows them.
    """

    def run(script: Path, *arguments: str, **variables: str) -> None:
        accounts = " ".join(f"{account}.blob.localhost" for account in emulator.storage.shelf.accounts())
        hosts = tmp_path / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {accounts}\n")
        for name in ("entered", "work"):
            (tmp_path / name).mkdir(exist_ok=True)
        mounts = {"/etc/hosts": str(hosts)}
        chosen = isolation.choose(mounts)
        assert chosen.kind != isolation.PREFIX, "this machine has no private paths"
        command = [sys.executable, "-W", "ignore", str(script), *arguments]
        done = subprocess.run(
            isolation.enter(chosen, mounts, command, tmp_path / "entered"),
            env={**isolated(os.environ, tmp_path / "home"), **emulator.variables(), **variables},
            cwd=tmp_path / "work",
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    return run
