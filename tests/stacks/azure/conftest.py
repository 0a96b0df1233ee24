"""A stack of Azure against strict mocks, whatever it is configured to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.providers.mocks import Registrations, run
from mlinfra.infra.azure.configuration import AzureConfiguration
from mlinfra.infra.azure.stack import AzureStack
from mlinfra.infra.configuration import read

if TYPE_CHECKING:
    from collections.abc import Callable

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
TENANT = "00000000-0000-4000-8000-000000000002"
BASE = {"platform": "azure", "region": "westeurope", "account": SUBSCRIPTION, "tenant": TENANT}


@pytest.fixture
def configured() -> Callable[..., AzureConfiguration]:
    def configured(stage: str = "dev", **values: Any) -> AzureConfiguration:
        return read(AzureConfiguration, {**BASE, "stage": stage, **values}, stack=f"azure-{stage}")

    return configured


@pytest.fixture
def up(configured: Callable[..., AzureConfiguration]) -> Callable[..., Registrations]:
    """`up("prod", endpoints=["credit"])`: what the stack registers. `preview=True` leaves outputs unknown."""

    def up(stage: str = "dev", *, preview: bool = False, **values: Any) -> Registrations:
        key = json.dumps([stage, preview, values], sort_keys=True)
        if key not in _RUNS:
            configuration = configured(stage, **values)
            _RUNS[key] = run(
                lambda: AzureStack(configuration.name, configuration).export(),
                config={"azure-native:location": "westeurope"},
                preview=preview,
            )
        return _RUNS[key]

    return up


_RUNS: dict[str, Registrations] = {}  # the same configuration registers the same, and nobody changes what was found
