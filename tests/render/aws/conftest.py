"""Environments to render jobs for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.environment import AwsEnvironment, Image, Network, StoreLocation

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT, REGION = "111122223333", "eu-west-1"
BASE = "s3://mlinfra-test/kit"


@pytest.fixture(scope="session")
def make_environment() -> Callable[..., AwsEnvironment]:
    return _make_environment


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
