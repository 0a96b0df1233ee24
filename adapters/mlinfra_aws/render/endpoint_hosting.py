"""Serverless and asynchronous endpoints: what SageMaker takes of a spec there, and what it does not.

Sources: botocore's descriptions of ProductionVariantServerlessConfig, ContainerDefinition (`ModelDataSource` is not for
serverless endpoints) and AsyncInferenceConfig; for what serverless endpoints lack, the SageMaker guide, "Serverless
inference: feature exclusions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import ASYNCHRONOUS_FOLDER
from mlinfra.contract.locations import store_base
from mlinfra.errors import CapabilityError
from mlinfra_aws.places import kms_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

MEMORY_STEP, MOST_MEMORY = 1024, 6144  # MB: 1, 2, 3, 4, 5 or 6 GB
MOST_CONCURRENCY = 200
_MIB = 1024**2
_NO_BACKLOG = "an asynchronous endpoint scales by its backlog, for which a spec has no word"
_NO_CAPTURE = "SageMaker's description of data capture says nothing of asynchronous endpoints"


def check_hosting(spec: EndpointSpec, environment: Environment) -> None:
    """Nothing, unless a serverless or asynchronous endpoint asks for what it cannot have.

    Raises:
        CapabilityError: names the field and what is there in its place.
    """
    if spec.serverless is not None:
        serverless_config(spec)
        placed = bool(environment.network.subnets) or environment.network.isolated
        _refuse(
            "a serverless endpoint",
            {
                "capture": (spec.capture is not None, "SageMaker captures nothing of serverless endpoints"),
                "network": (placed, "a serverless server stands in no VPC and takes no network isolation"),
            },
        )
    if spec.asynchronous is not None:
        scaled = spec.scale.max > spec.scale.min
        _refuse(
            "an asynchronous endpoint",
            {"capture": (spec.capture is not None, _NO_CAPTURE), "scale.max": (scaled, _NO_BACKLOG)},
        )


def serverless_config(spec: EndpointSpec) -> Document:
    """ServerlessConfig: the least memory that is enough, and how many requests at once.

    Raises:
        CapabilityError: more than SageMaker has.
    """
    if spec.serverless is None:
        raise KeyError(spec.name)
    memory = -(-int(spec.serverless.memory) // (MEMORY_STEP * _MIB)) * MEMORY_STEP
    if memory > MOST_MEMORY:
        raise CapabilityError(
            "SageMaker's serverless servers have less memory",
            given=f"serverless.memory: {spec.serverless.memory}",
            allowed=f"{MOST_MEMORY // MEMORY_STEP}Gi at most",
            todo="take servers that stand by: `resources` and `scale` in place of `serverless`",
        )
    if spec.serverless.concurrency > MOST_CONCURRENCY:
        raise CapabilityError(
            "SageMaker's serverless endpoints answer fewer requests at once",
            given=f"serverless.concurrency: {spec.serverless.concurrency}",
            allowed=f"{MOST_CONCURRENCY} at most",
            todo="lower it, or take servers that stand by",
        )
    return {"MemorySizeInMB": memory, "MaxConcurrency": spec.serverless.concurrency}


def async_config(spec: EndpointSpec, environment: Environment) -> Document | None:
    """AsyncInferenceConfig, None where the endpoint answers its callers."""
    if spec.asynchronous is None:
        return None
    base = f"{store_base(environment)}/{ASYNCHRONOUS_FOLDER}/{spec.name}"
    key, most = kms_key(environment), spec.asynchronous.concurrency
    return {
        **({"ClientConfig": {"MaxConcurrentInvocationsPerInstance": most}} if most else {}),
        "OutputConfig": {
            "S3OutputPath": f"{base}/answers",
            "S3FailurePath": f"{base}/failures",
            **({"KmsKeyId": key} if key else {}),
        },
    }


def _refuse(subject: str, wishes: Mapping[str, tuple[bool, str]]) -> None:
    for field, (is_asked, reason) in wishes.items():
        if is_asked:
            raise CapabilityError(
                f"{subject} goes without {field} on aws: {reason}",
                given=field,
                todo="leave it out for this environment with an overlay under `environments`, or serve otherwise",
            )
