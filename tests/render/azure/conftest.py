"""Environments to render jobs for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.environment import AzureEnvironment, Image, Network, StoreLocation

if TYPE_CHECKING:
    from collections.abc import Callable

SUBSCRIPTION, REGION = "00000000-1111-4222-8333-444444444444", "westeurope"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/risk"
IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
BASE = "https://risk.blob.core.windows.net/artefacts/kit"


@pytest.fixture(scope="session")
def make_environment() -> Callable[..., AzureEnvironment]:
    return _make_environment


@pytest.fixture
def environment() -> AzureEnvironment:
    return _make_environment()


@pytest.fixture
def guarded() -> AzureEnvironment:
    """As a production stack would be."""
    return _make_environment(
        stage="prod",
        network=Network(isolated=True, private_endpoints=True),
        stores={"artefacts": StoreLocation(uri=BASE, key="main")},
        keys={"main": "https://risk.vault.azure.net/keys/main"},
        tags={"CostCentre": "42"},
        vaults={"default": "https://risk.vault.azure.net/"},
        native={"client_ids": {"trainer": "11111111-2222-4333-8444-555555555555"}},
    )


def _make_environment(**fields: Any) -> AzureEnvironment:
    given: dict[str, Any] = {
        "name": "azure-test",
        "region": REGION,
        "account": SUBSCRIPTION,
        "resource_group": "risk",
        "workspace": "risk",
        "stores": {"artefacts": StoreLocation(uri=BASE)},
        "identities": {name: f"{IDENTITIES}/mlinfra-{name}" for name in ("trainer", "server")},
        "images": {
            "base": Image(uri=f"risk.azurecr.io/library/python@sha256:{'0' * 64}", python="3.11"),
            "serving": Image(uri=f"risk.azurecr.io/serving@sha256:{'1' * 64}"),
        },
    }
    return AzureEnvironment(**{**given, **fields})
