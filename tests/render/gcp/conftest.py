"""An attempt at a job, and environments to render it for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.contract.jobs import Artefact, JobRun
from mlinfra.engine.manifest import job_manifest
from mlinfra.environment import GcpEnvironment, Image, Network, StoreLocation
from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT, REGION = "risk-prod", "europe-west4"
REGISTRY = f"{REGION}-docker.pkg.dev/{PROJECT}"
BASE = "gs://mlinfra-test/kit"
WORK = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def make_environment() -> Callable[..., GcpEnvironment]:
    return _make_environment


@pytest.fixture(scope="session")
def make_run() -> Callable[..., JobRun]:
    return _make_run


@pytest.fixture
def environment() -> GcpEnvironment:
    return _make_environment()


@pytest.fixture
def guarded() -> GcpEnvironment:
    """As a production stack would be."""
    return _make_environment(
        stage="prod",
        network=Network(id="risk", isolated=True),
        stores={"artefacts": StoreLocation(uri=BASE, key="main")},
        keys={"main": f"projects/{PROJECT}/locations/{REGION}/keyRings/r/cryptoKeys/main"},
        tags={"CostCentre": "42"},
        native={"project_number": "111122223333"},
    )


def _make_environment(**fields: Any) -> GcpEnvironment:
    given: dict[str, Any] = {
        "name": "gcp-test",
        "region": REGION,
        "account": PROJECT,
        "stores": {"artefacts": StoreLocation(uri=BASE)},
        "identities": {name: f"mlinfra-{name}@{PROJECT}.iam.gserviceaccount.com" for name in ("trainer", "server")},
        "images": {
            "base": Image(uri=f"{REGISTRY}/dockerhub/library/python@sha256:{'0' * 64}", python="3.11"),
            "serving": Image(uri=f"{REGISTRY}/mlinfra/serving@sha256:{'1' * 64}"),
        },
    }
    return GcpEnvironment(**{**given, **fields})


def _make_run(
    environment: GcpEnvironment, *, lock: str | None = None, inputs: Any = None, wheels: Any = None, **fields: Any
) -> JobRun:
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
        wheels=wheels,
        tags={**environment.tags, **spec.tags},
    )
