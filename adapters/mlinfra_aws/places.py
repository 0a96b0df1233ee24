"""Names and addresses that several parts of the adapter must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from mlinfra.errors import NotFound, SpecError

if TYPE_CHECKING:
    from mlinfra.environment import Environment

ARTEFACTS = "artefacts"
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"
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


def store_key(base: str, uri: str) -> str:
    """The key behind an address, which may also be written `store://key`.

    Raises:
        NotFound: the address lies outside the store.
    """
    if uri.startswith("store://"):
        return unquote(uri.removeprefix("store://"))
    if uri == base or uri.startswith(f"{base}/"):
        return uri.removeprefix(base).removeprefix("/")
    raise NotFound(
        "this address is not in the environment's store",
        given=uri,
        allowed=f"{base}/…",
        todo="`mlinfra store put` brings it there",
    )


def kms_key(environment: Environment, name: str = ARTEFACTS) -> str:
    """The key that encrypts a store, empty for the bucket's own."""
    location = environment.stores.get(name)
    return environment.keys.get(location.key, "") if location and location.key else ""


def role(environment: Environment, identity: str) -> str:
    """The ARN of the role that jobs (`trainer`) or servers (`server`) run as.

    Raises:
        SpecError: the environment names none.
    """
    found = environment.identities.get(identity, "")
    if not found:
        raise SpecError(
            f"the environment names no role for its {identity}",
            given=environment.name,
            allowed="an IAM role's ARN",
            todo=f"name it in the environment: identities.{identity}",
        )
    return found


def partition(region: str) -> str:
    """`aws`, or the partition of China's or a government's regions."""
    return next((name for start, name in PARTITIONS.items() if region.startswith(start)), "aws")


def arn(environment: Environment, service: str, resource: str) -> str:
    """The ARN of something in the environment's account and region."""
    return f"arn:{partition(environment.region)}:{service}:{environment.region}:{environment.account}:{resource}"


def console(environment: Environment, path: str) -> str:
    """A page of the AWS console; an emulator has none."""
    if environment.emulated:
        return ""
    region = environment.region
    return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/{quote(path, safe='/')}"
