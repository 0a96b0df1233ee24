"""What the tests of every cloud's rendering share: attempts at jobs, and worlds with one endpoint."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.jobs import Artefact, JobRun
from mlinfra.contract.steps import Done, Failed, Send, Wait
from mlinfra.engine.manifest import job_manifest
from mlinfra.spec import JobSpec

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.environment import Environment

WORK = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def make_run() -> Callable[..., JobRun]:
    """An attempt at a job, in an environment; keywords are the spec's fields."""
    return _make_run


def _make_run(
    environment: Environment, *, lock: str | None = None, inputs: Any = None, wheels: Any = None, **fields: Any
) -> JobRun:
    spec = JobSpec(**{"name": "train", "command": ["python", "train.py"], **fields})
    store = environment.stores["artefacts"].uri
    base = f"{store}/jobs/{WORK}/1"
    return JobRun(
        spec=spec,
        id=WORK,
        attempt=1,
        bundle=Artefact(f"{store}/code/abc/bundle.pyz", f"sha256:{'a' * 64}", 100),
        inputs=inputs or {},
        outputs={name: Artefact(f"{base}/{name}", is_folder=True) for name in spec.outputs},
        result=Artefact(f"{base}/.mlinfra", is_folder=True),
        manifest=job_manifest(spec, environment, WORK, 1, {}),
        lock=lock,
        wheels=wheels,
        tags={**environment.tags, **spec.tags},
    )


@pytest.fixture
def new_world(cloud):
    return partial(World, cloud)


@pytest.fixture
def world(new_world):
    return new_world()


@pytest.fixture
def kit(cloud):
    """Names for tests, which cannot import these files."""
    return SimpleNamespace(Done=Done, Failed=Failed, Send=Send, Wait=Wait, **cloud.names)
