"""An environment as a stack would export it, one whose services are at addresses of this machine, and an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.environment import GcpEnvironment, Image, StoreLocation
from mlinfra_gcp.client import GcpClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT, REGION = "risk-prod", "europe-west4"
REGISTRY = f"{REGION}-docker.pkg.dev/{PROJECT}"


@pytest.fixture
def environment() -> GcpEnvironment:
    identities = ("trainer", "server", "deployer", "approver")
    return GcpEnvironment(
        name="gcp-test",
        region=REGION,
        account=PROJECT,
        stores={
            "artefacts": StoreLocation(uri="gs://mlinfra-test/pre/fix"),
            "data": StoreLocation(uri="gs://data"),
            "approvals": StoreLocation(uri="gs://mlinfra-test/approvals"),
        },
        identities={name: f"mlinfra-{name}@{PROJECT}.iam.gserviceaccount.com" for name in identities},
        images={"base": Image(uri=f"{REGISTRY}/dockerhub/library/python@sha256:{'0' * 64}", python="3.11")},
    )


@pytest.fixture
def at_hand(environment: GcpEnvironment) -> GcpEnvironment:
    """Emulated, with nobody behind its addresses."""
    addresses = {"aiplatform": "https://localhost:1", "storage": "http://127.0.0.1:1", "oauth2": "http://127.0.0.1:1"}
    native = {"credentials": {"token": "ya29.none", "principal": "nobody"}}
    return environment.model_copy(update={"emulated": True, "endpoints": addresses, "native": native})


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpEmulator]:
    with GcpEmulator(tmp_path_factory.mktemp("emulator"), Settings(delays_scale=0.01)) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: GcpEmulator) -> Iterator[GcpClient]:
    client = GcpClient(emulator.environment())
    yield client
    client.close()
