"""Command jobs as tests ask for them: a few lines of shell or Python that run as a container."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.azure import AzureEmulator

ENDED = {"Completed", "Failed", "Canceled"}
PATIENCE = 60.0  # real seconds; the longest of these jobs takes a few


class Jobs:
    """Jobs over ARM, in the deployer's name, and what the run history tells of them."""

    def __init__(
        self,
        emulator: AzureEmulator,
        arm: Callable[..., requests.Response],
        session: Callable[..., requests.Session],
        usual: dict[str, Any],
    ) -> None:
        self._emulator = emulator
        self._session = session
        self._usual = usual
        self.arm = arm

    def described(self, command: str = "echo done", **more: Any) -> dict[str, Any]:
        """A job's document; words behind the command are its properties', None leaves one out."""
        properties = {"jobType": "Command", "command": command, **self._usual, **more}
        return {"properties": {name: value for name, value in properties.items() if value is not None}}

    def put(self, name: str, command: str = "echo done", **more: Any) -> requests.Response:
        """Ask for a job as described, and show the answer."""
        return self.arm("PUT", f"jobs/{name}", self.described(command, **more))

    def submit(self, name: str, command: str = "echo done", **more: Any) -> None:
        """Make a job as described."""
        reply = self.put(name, command, **more)
        assert reply.status_code == 201, reply.text

    def cancel(self, name: str) -> requests.Response:
        """Ask for a job to end."""
        return self.arm("POST", f"jobs/{name}/cancel")

    def get(self, name: str) -> dict[str, Any]:
        """A job's properties as they are now."""
        found: dict[str, Any] = self.arm("GET", f"jobs/{name}").json()["properties"]
        return found

    def until(self, name: str, state: str = "") -> dict[str, Any]:
        """Wait until a job is in a state; without one until it has ended."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.get(name)
            if found["status"] == state or (not state and found["status"] in ENDED):
                return found
            assert not state or found["status"] not in ENDED, found["status"]
            time.sleep(0.02)
        raise AssertionError(f"still {found['status']}")

    def watched(self, name: str) -> list[str]:
        """Every state in which a job is seen until it has ended."""
        seen: list[str] = []
        while not seen or seen[-1] not in ENDED:
            state = self.get(name)["status"]
            if seen[-1:] != [state]:
                seen.append(state)
            time.sleep(0.01)
        return seen

    def details(self, name: str) -> dict[str, Any]:
        """What the run history tells of a job."""
        address = f"{self._emulator.secure}/history/v1.0{self._emulator.place.workspace_id}/runs/{name}/details"
        reply = self._session().get(address)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def error(self, name: str) -> tuple[str, str, str]:
        """Code, inner code and message with which a job failed."""
        found = self.details(name)["error"]["error"]
        return found["code"], found["innerError"]["code"], found["message"]

    def lines(self, name: str, file: str = "user_logs/std_log.txt") -> list[str]:
        """What a process wrote, by the file that the run history names."""
        files = self.details(name)["logFiles"]
        if file not in files:
            return []
        return requests.get(files[file], verify=str(self._emulator.ca_file), timeout=30).text.splitlines()

    def written(self, name: str, text: str, count: int = 1) -> None:
        """Wait until a process has written a line so often."""
        deadline = time.monotonic() + PATIENCE
        while self.lines(name).count(text) < count:
            assert time.monotonic() < deadline, f"{name} never wrote {text!r}: {self.lines(name)}"
            time.sleep(0.05)

    def run(self, code: str, name: str = "asked", **more: Any) -> list[str]:
        """Run some Python to a good end, and return the lines that it printed."""
        self.submit(name, f"python3 -c {shlex.quote(code)}", **more)
        assert self.until(name)["status"] == "Completed", [*self.lines(name), self.details(name).get("error")]
        return self.lines(name)


@pytest.fixture
def data(environment) -> str:
    """A folder that the trainer may read and write."""
    return f"{environment.stores['data'].uri}/tests"


@pytest.fixture
def python(arm, environment) -> str:
    """The id of an environment that holds Python."""
    made = arm("PUT", "environments/python/versions/1", {"properties": {"image": environment.images["base"].uri}})
    found: str = made.json()["id"]
    return found


@pytest.fixture
def jobs(emulator, environment, arm, session, python) -> Jobs:
    """Jobs that run as the trainer on the environment's cluster."""
    usual = {
        "environmentId": python,
        "computeId": emulator.place.child("computes", environment.compute["cpu"]),
        "identity": {"identityType": "Managed", "clientId": environment.native["client_ids"]["trainer"]},
    }
    return Jobs(emulator, arm, session, usual)
