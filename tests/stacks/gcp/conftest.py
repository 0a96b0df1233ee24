"""A stack of Google Cloud against strict mocks, whatever it is configured to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.providers.mocks import Registrations, run
from mlinfra.infra.configuration import read
from mlinfra.infra.gcp.configuration import GcpConfiguration
from mlinfra.infra.gcp.stack import GcpStack

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = {"platform": "gcp", "region": "europe-west4", "account": "acme-risk"}


@pytest.fixture
def configured() -> Callable[..., GcpConfiguration]:
    def configured(stage: str = "dev", **values: Any) -> GcpConfiguration:
        return read(GcpConfiguration, {**BASE, "stage": stage, **values}, stack=f"gcp-{stage}")

    return configured


@pytest.fixture
def up(configured: Callable[..., GcpConfiguration]) -> Callable[..., Registrations]:
    """`up("prod", endpoints=["credit"])`: what the stack registers. `preview=True` leaves outputs unknown."""

    def up(stage: str = "dev", *, preview: bool = False, **values: Any) -> Registrations:
        key = json.dumps([stage, preview, values], sort_keys=True)
        if key not in _RUNS:
            configuration = configured(stage, **values)
            _RUNS[key] = run(
                lambda: GcpStack(configuration.name, configuration).export(),
                config={"gcp:project": "acme-risk", "gcp:region": "europe-west4"},
                preview=preview,
            )
        return _RUNS[key]

    return up


_RUNS: dict[str, Registrations] = {}  # the same configuration registers the same, and nobody changes what was found
