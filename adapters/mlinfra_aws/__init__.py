"""Amazon SageMaker as a platform."""

from __future__ import annotations

from mlinfra.contract.adapter import Adapter
from mlinfra_aws.capabilities import CAPABILITIES

ADAPTER = Adapter(
    platform="aws",
    contract=1,
    package="mlinfra_aws",
    capabilities=CAPABILITIES,
    extra="aws",
    sdk="boto3",
    title="Amazon SageMaker",
)
