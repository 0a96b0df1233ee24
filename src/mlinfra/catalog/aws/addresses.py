"""Names and addresses in AWS that adapter, stack and permissions must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from mlinfra.environment import Environment

ARTEFACTS = "artefacts"
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"
DOMAINS = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}
PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}  # by how a region's name begins


def store_base(environment: Environment, name: str = ARTEFACTS) -> str:
    """`s3://bucket/prefix` of a store, without a slash at its end.

    Raises:
        NotFound: the environment names no such store.
    """
    location = environment.stores.get(name)
    if location is None:
        raise NotFound(
            "the environment has no such store",
            given=name,
            allowed=", ".join(sorted(environment.stores)) or "none is named",
            todo=f"name it in the environment: stores.{name}.uri",
        )
    return location.uri.rstrip("/")


def partition(region: str) -> str:
    """`aws`, or the partition of China's or a government's regions."""
    return next((name for start, name in PARTITIONS.items() if region.startswith(start)), "aws")


def domain(region: str) -> str:
    """The domain of the services' addresses in a region."""
    return next((name for start, name in DOMAINS.items() if region.startswith(start)), "amazonaws.com")


def arn(environment: Environment, service: str, resource: str) -> str:
    """The ARN of something in the environment's account and region."""
    return f"arn:{partition(environment.region)}:{service}:{environment.region}:{environment.account}:{resource}"
