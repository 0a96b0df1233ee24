"""Names and addresses in AWS that adapter, stack and permissions must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.environment import Environment

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"
DOMAINS = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}
PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}  # by how a region's name begins


def partition(region: str) -> str:
    """`aws`, or the partition of China's or a government's regions."""
    return next((name for start, name in PARTITIONS.items() if region.startswith(start)), "aws")


def domain(region: str) -> str:
    """The domain of the services' addresses in a region."""
    return next((name for start, name in DOMAINS.items() if region.startswith(start)), "amazonaws.com")


def arn(environment: Environment, service: str, resource: str) -> str:
    """The ARN of something in the environment's account and region."""
    return f"arn:{partition(environment.region)}:{service}:{environment.region}:{environment.account}:{resource}"
