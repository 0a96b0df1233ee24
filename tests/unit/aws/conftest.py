"""An environment as a stack would export it, and moto's S3 behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from moto.server import ThreadedMotoServer

from mlinfra.environment import AwsEnvironment, Image, StoreLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, REGION = "111122223333", "eu-west-1"
KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "not-a-real-secret"}


@pytest.fixture
def environment() -> AwsEnvironment:
    return AwsEnvironment(
        name="aws-test",
        region=REGION,
        account=ACCOUNT,
        stores={"artefacts": StoreLocation(uri="s3://mlinfra-test/pre/fix"), "data": StoreLocation(uri="s3://data")},
        identities={name: f"arn:aws:iam::{ACCOUNT}:role/mlinfra-{name}" for name in ("trainer", "server")},
        images={"base": Image(uri=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/base@sha256:{'0' * 64}", python="3.11")},
    )


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        make_bucket(address)
        yield address
        server.stop()


def make_bucket(s3_address: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=s3_address,
        region_name=REGION,
        aws_access_key_id=KEYS["access_key_id"],
        aws_secret_access_key=KEYS["secret_access_key"],
    )
    client.create_bucket(Bucket="mlinfra-test", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()


@pytest.fixture
def emulated(environment: AwsEnvironment, s3_address: str) -> AwsEnvironment:
    addresses = {"s3": s3_address, "sts": s3_address, "sagemaker": s3_address}
    return environment.model_copy(update={"emulated": True, "endpoints": addresses, "native": {"credentials": KEYS}})
