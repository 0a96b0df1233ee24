"""Endpoints of an emulated cloud and the engine, in one time that runs faster than the machine's.

Clouds count an endpoint's requests by the minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mlinfra.emulator.platforms import load
from mlinfra.emulator.settings import Settings
from mlinfra.engine.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.engine.clock import Clock
    from mlinfra.engine.folders import Folders
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

SPEED = 25.0


class OnTheEmulator:
    """A class of tests with a session on an emulator of its own; `platform` says whose, or a fixture in its place."""

    platform: ClassVar[str] = ""
    settings = Settings(speed=SPEED)

    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[Any]:
        with load(self.platform)(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: Any) -> Environment:
        return emulator.environment()

    @pytest.fixture
    def session(
        self, environment: Environment, folders: Folders, emulator: Any, emulated_time: type[Clock]
    ) -> Iterator[Session]:
        clock: Any = emulated_time
        with open_session(environment, folders=folders, say=lambda _: None, clock=clock(emulator)) as session:
            yield session
