"""Each cloud, through the suite that every platform must pass: against the emulator, none of it softened.

Endpoints have a file for each cloud, since they need a time that runs faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.platforms import PLATFORMS, load
from mlinfra.emulator.settings import Settings
from mlinfra.environment import LocalEnvironment
from mlinfra.testing import JobSuite, ModelSuite, RenderSuite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.emulator.emulator import Emulator
    from mlinfra.environment import Environment

pytestmark = pytest.mark.thorough


class OnTheEmulator:
    """Whoever runs the suite plays every part, so that decisions lie where this one may write them."""

    settings = Settings(delays_scale=0.01)  # every state is passed through, none is waited in

    @pytest.fixture(params=PLATFORMS)
    def emulator(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Emulator]:
        with load(request.param)(tmp_path / "emulator", self.settings) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: Emulator) -> Environment:
        whole = emulator.environment()
        stores = {name: store for name, store in whole.stores.items() if name != "approvals"}
        return whole.model_copy(update={"stores": stores})

    @pytest.fixture
    def other_environment(self, tmp_path: Path) -> Environment:
        return LocalEnvironment(name="elsewhere", root=str(tmp_path / "other-host"))


class TestRender(OnTheEmulator, RenderSuite):
    pass


class TestJobs(OnTheEmulator, JobSuite):
    pass


class TestModels(OnTheEmulator, ModelSuite):
    pass
