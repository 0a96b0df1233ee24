"""What every part of the suite starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.contract import adapter as adapters
from mlinfra.engine.folders import Folders
from mlinfra.engine.prepare import Prepared, prepare
from mlinfra.engine.session import open_session
from mlinfra.testing.projects import write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.contract.adapter import Adapter
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec, ModelSpec

MAX_RUNTIME = 120.0  # seconds that any job of the suite may take


class Suite:
    """A subclass overrides `environment`; everything else follows from it."""

    @pytest.fixture
    def environment(self) -> Environment:
        """The environment to test in."""
        raise NotImplementedError("a subclass supplies the environment")

    @pytest.fixture
    def other_environment(self) -> Environment:
        """A second environment, to copy to; of any platform."""
        raise NotImplementedError("a subclass supplies the other environment")

    @pytest.fixture
    def adapter(self, environment: Environment) -> Adapter:
        """The adapter of that environment's platform."""
        return adapters.load(environment.platform)

    @pytest.fixture
    def folders(self, tmp_path: Path) -> Folders:
        """A machine of its own, as far as the engine is concerned."""
        return Folders(project=tmp_path / "project" / ".mlinfra", state=tmp_path / "state").ensure()

    @pytest.fixture
    def project(self, folders: Folders) -> Path:
        """A user's project."""
        return write_project(folders.root)

    @pytest.fixture
    def session(self, environment: Environment, folders: Folders) -> Iterator[Session]:
        """A session as a command has it."""
        with open_session(environment, folders=folders, say=lambda _: None) as session:
            yield session


def prepared(
    session: Session, spec: JobSpec, project: Path, *, occasion: str = "", models: dict[str, ModelSpec] | None = None
) -> Prepared:
    """The spec, made ready in the session's environment."""
    return prepare(
        spec, project, session.environment, session.adapter, session.folders, occasion=occasion, models=models
    )
