"""An attempt at a job, and environments to render it for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.jobs import Artefact, JobRun
from mlinfra.engine.manifest import job_manifest
from mlinfra.environment import AwsEnvironment, Image, Network, StoreLocation
from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT, REGION = "111122223333", "eu-west-1"
BASE = "s3://mlinfra-test/kit"
WORK = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def make_environment() -> Callable[..., AwsEnvironment]:
    return _make_environment


@pytest.fixture(scope="session")
def make_run() -> Callable[..., JobRun]:
    return _make_run


@pytest.fixture
def environment() -> AwsEnvironment:
    return _make_environment()


@pytest.fixture
def guarded() -> AwsEnvironment:
    """As a production stack would be."""
    return _make_environment(
        stage="prod",
        network=Network(id="vpc-1", subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",), isolated=True),
        stores={"artefacts": StoreLocation(uri=BASE, key="main")},
        keys={"main": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0000"},
        tags={"CostCentre": "42"},
    )


def _make_environment(**fields: Any) -> AwsEnvironment:
    given: dict[str, Any] = {
        "name": "aws-test",
        "region": REGION,
        "account": ACCOUNT,
        "stores": {"artefacts": StoreLocation(uri=BASE)},
        "identities": {name: f"arn:aws:iam::{ACCOUNT}:role/mlinfra-{name}" for name in ("trainer", "server")},
        "images": {
            "base": Image(uri=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/base@sha256:{'0' * 64}", python="3.11"),
            "serving": Image(uri=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/serving@sha256:{'1' * 64}"),
        },
    }
    return AwsEnvironment(**{**given, **fields})


def _make_run(environment: AwsEnvironment, *, lock: str | None = None, inputs: Any = None, **fields: Any) -> JobRun:
    spec = JobSpec(**{"name": "train", "command": ["python", "train.py"], **fields})
    base = f"{BASE}/jobs/{WORK}/1"
    return JobRun(
        spec=spec,
        id=WORK,
        attempt=1,
        bundle=Artefact(f"{BASE}/code/abc/bundle.pyz", "sha256:abc", 100),
        inputs=inputs or {},
        outputs={name: Artefact(f"{base}/{name}", is_folder=True) for name in spec.outputs},
        result=Artefact(f"{base}/.mlinfra", is_folder=True),
        manifest=job_manifest(spec, environment, WORK, 1, {}),
        lock=lock,
        tags={**environment.tags, **spec.tags},
    )
