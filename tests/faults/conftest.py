"""A platform that fails on command: the real one behind a client that follows a script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.engine.folders import Folders
from mlinfra.engine.pacer import Pacer
from mlinfra.engine.session import Session, open_session
from mlinfra.environment import LocalEnvironment
from mlinfra.testing.projects import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.contract.adapter import Client
    from mlinfra.contract.requests import Document, Request

Fault = Callable[["Request", Callable[[], "Document"]], "Document"]


class Killed(BaseException):
    """The process ends here, as far as the code under test can tell."""


class QuickClock:
    """Pauses pass at once, and are written down."""

    def __init__(self) -> None:
        self.paused: list[float] = []
        self._ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return datetime.now(UTC).timestamp() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.paused.append(seconds)
        self._ahead += max(0.0, seconds)


@dataclass
class ScriptedClient:
    """Sends through the real client. `faults` holds, for an operation and its nth call, what happens instead."""

    client: Client
    faults: dict[tuple[str, int], Fault] = field(default_factory=dict)
    every: Fault | None = None
    calls: Counter[str] = field(default_factory=Counter)

    def send(self, request: Request) -> Document:
        self.calls[request.operation] += 1
        fault = self.faults.get((request.operation, self.calls[request.operation])) or self.every

        def real() -> Document:
            return self.client.send(request)

        return fault(request, real) if fault else real()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


@dataclass
class Rig:
    """A session on the scripted platform, and what stands behind it."""

    session: Session
    client: ScriptedClient
    clock: QuickClock
    project: Path

    def jobs(self) -> list[Document]:
        """Every job that the platform really has."""
        return list(self.client.client.send(_LIST)["jobs"])


class _List:
    service = "host"
    operation = "ListJobs"
    body: dict[str, Any] = {"page_size": 1000}  # noqa: RUF012  never changed


_LIST: Any = _List()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    folders = Folders(project=tmp_path / "project" / ".mlinfra", state=tmp_path / "state").ensure()
    write_project(folders.root)
    environment = LocalEnvironment(name="local", root=str(tmp_path / "host"))
    with open_session(environment, folders=folders, say=lambda _: None) as real:
        clock = QuickClock()
        client = ScriptedClient(real.client)
        pacer = Pacer(folders.pace(environment.id), {}, clock)
        yield Rig(replace(real, client=client, clock=clock, pacer=pacer), client, clock, folders.root)
