"""A stack of AWS against strict mocks, whatever it is configured to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.providers.mocks import Registrations, run
from mlinfra.infra.aws.configuration import AwsConfiguration
from mlinfra.infra.aws.stack import AwsStack
from mlinfra.infra.configuration import read

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = {"platform": "aws", "region": "eu-west-1", "account": "111122223333"}


@pytest.fixture
def configured() -> Callable[..., AwsConfiguration]:
    def configured(stage: str = "dev", **values: Any) -> AwsConfiguration:
        return read(AwsConfiguration, {**BASE, "stage": stage, **values}, stack=f"aws-{stage}")

    return configured


@pytest.fixture
def up(configured: Callable[..., AwsConfiguration]) -> Callable[..., Registrations]:
    """`up("prod", models=["credit-risk"])`: what the stack registers. `preview=True` leaves outputs unknown."""

    def up(stage: str = "dev", *, preview: bool = False, **values: Any) -> Registrations:
        key = json.dumps([stage, preview, values], sort_keys=True)
        if key not in _RUNS:
            configuration = configured(stage, **values)
            _RUNS[key] = run(
                lambda: AwsStack(configuration.name, configuration).export(),
                config={"aws:region": "eu-west-1"},
                preview=preview,
            )
        return _RUNS[key]

    return up


_RUNS: dict[str, Registrations] = {}  # the same configuration registers the same, and nobody changes what was found
