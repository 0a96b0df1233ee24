"""Environments to render jobs for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.environment import GcpEnvironment, Image, Network, StoreLocation

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT, REGION = "risk-prod", "europe-west4"
REGISTRY = f"{REGION}-docker.pkg.dev/{PROJECT}"
BASE = "gs://mlinfra-test/kit"


@pytest.fixture(scope="session")
def make_environment() -> Callable[..., GcpEnvironment]:
    return _make_environment


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
