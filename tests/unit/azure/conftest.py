"""An environment as a stack would export it, one whose services are at addresses of this machine, and an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.environment import AzureEnvironment, Image, StoreLocation
from mlinfra_azure.client import AzureClient

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBSCRIPTION, REGION = "00000000-1111-4222-8333-444444444444", "westeurope"
TENANT = "00000000-1111-4222-8333-555555555555"
IDENTITIES = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/risk/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
)
ACCOUNT = "https://risk.blob.core.windows.net"


@pytest.fixture
def environment() -> AzureEnvironment:
    identities = ("trainer", "server", "deployer", "approver")
    return AzureEnvironment(
        name="azure-test",
        region=REGION,
        account=SUBSCRIPTION,
        resource_group="risk",
        workspace="risk",
        stores={
            "artefacts": StoreLocation(uri=f"{ACCOUNT}/artefacts/pre/fix"),
            "data": StoreLocation(uri=f"{ACCOUNT}/data"),
            "captures": StoreLocation(uri=f"{ACCOUNT}/captures"),
            "approvals": StoreLocation(uri=f"{ACCOUNT}/approvals"),
        },
        identities={name: f"{IDENTITIES}/mlinfra-{name}" for name in identities},
        images={"base": Image(uri=f"risk.azurecr.io/library/python@sha256:{'0' * 64}", python="3.11")},
        vaults={"default": "https://risk.vault.azure.net"},
        native={"tenant": TENANT},
    )


@pytest.fixture
def at_hand(environment: AzureEnvironment) -> AzureEnvironment:
    """Emulated, with nobody behind its addresses."""
    addresses = {"management": "https://localhost:1", "blob": "https://localhost:1", "history": "https://localhost:1"}
    native = {**environment.native, "credentials": {"token": "none", "principal": "nobody"}}
    return environment.model_copy(update={"emulated": True, "endpoints": addresses, "native": native})


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureEmulator]:
    with AzureEmulator(tmp_path_factory.mktemp("emulator"), Settings(delays_scale=0.01)) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: AzureEmulator) -> Iterator[AzureClient]:
    client = AzureClient(emulator.environment())
    yield client
    client.close()
