"""An emulator of AWS for each test, and the vendor's own clients at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from mlinfra.environment import AwsEnvironment


@pytest.fixture
def emulator_settings() -> Settings:
    """How the emulator behaves; a test or a module may say otherwise."""
    return Settings(delays_scale=0.0, quotas=False)


@pytest.fixture
def emulator(tmp_path: Path, emulator_settings: Settings) -> Iterator[AwsEmulator]:
    with AwsEmulator(tmp_path / "emulator", emulator_settings) as running:
        yield running


@pytest.fixture
def environment(emulator: AwsEmulator) -> AwsEnvironment:
    return emulator.environment()


@pytest.fixture
def client(emulator: AwsEmulator, environment: AwsEnvironment) -> Callable[..., Any]:
    """`client("sagemaker")`, or in the name of another: `client("s3", "approver")`. No retries."""

    def make(service: str, principal: str = "deployer", **options: Any) -> Any:
        keys = emulator.credentials(principal)
        return boto3.client(
            service,
            endpoint_url=emulator.url,
            region_name=emulator.region,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token or None,
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    return make


@pytest.fixture
def bucket(environment: AwsEnvironment) -> str:
    """The bucket of the environment's artefacts and data; the deployer may write below `data/`."""
    return environment.stores["data"].uri.removeprefix("s3://").partition("/")[0]


@pytest.fixture
def role(environment: AwsEnvironment) -> str:
    """The trainer's role, which jobs run as."""
    return environment.identities["trainer"]
