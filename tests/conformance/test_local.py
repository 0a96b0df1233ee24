"""The machine at hand, through the suite that every platform must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.environment import LocalEnvironment
from mlinfra.testing import EndpointSuite, JobSuite, ModelSuite, RenderSuite

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.environment import Environment

pytestmark = pytest.mark.thorough


class OnThisMachine:
    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        return LocalEnvironment(name="local", root=str(tmp_path / "host"))

    @pytest.fixture
    def other_environment(self, tmp_path: Path) -> Environment:
        return LocalEnvironment(name="elsewhere", root=str(tmp_path / "other-host"))


class TestRender(OnThisMachine, RenderSuite):
    pass


class TestJobs(OnThisMachine, JobSuite):
    pass


class TestModels(OnThisMachine, ModelSuite):
    pass


class TestEndpoints(OnThisMachine, EndpointSuite):
    pass
