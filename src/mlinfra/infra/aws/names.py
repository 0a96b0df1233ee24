"""Physical names, known before anything exists: policies and look-ups can name what they are about.

Names carry six digits of the environment's id, so that two environments never meet in an account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.catalog.aws.addresses import domain, partition
from mlinfra.spec.names import derive_name

if TYPE_CHECKING:
    from mlinfra.infra.aws.configuration import AwsConfiguration

Document = dict[str, Any]


def bucket(configuration: AwsConfiguration, use: str) -> str:
    """At most 59 characters: `mlinfra-risk-dev-artefacts-1a2b3c`."""
    return f"mlinfra-{configuration.name}-{use}-{configuration.suffix}"


def role(configuration: AwsConfiguration, identity: str) -> str:
    """At most 56 characters of the 64 that a role's name may have."""
    return f"mlinfra-{configuration.name}-{identity}-{configuration.suffix}"


def role_arn(configuration: AwsConfiguration, identity: str) -> str:
    """The ARN that the role will have, or has where it is adopted."""
    adopted = {str(name): str(arn) for name, arn in configuration.adopt.roles.items()}.get(identity)
    own = f"role{configuration.role_path}{role(configuration, identity)}"
    return adopted or f"arn:{partition(configuration.region)}:iam::{configuration.account}:{own}"


def endpoint(configuration: AwsConfiguration, name: str) -> str:
    """What SageMaker knows an endpoint by, the adapter's as well as the stack's: `credit-risk-1a2b3c`."""
    return derive_name("endpoint", "aws", name, environment_id=configuration.native_id)


def arn(configuration: AwsConfiguration, service: str, resource: str) -> str:
    """The ARN of something in the environment's account and region."""
    return f"arn:{partition(configuration.region)}:{service}:{configuration.region}:{configuration.account}:{resource}"


def registry(configuration: AwsConfiguration) -> str:
    """The account's own image registry."""
    return f"{configuration.account}.dkr.ecr.{configuration.region}.{domain(configuration.region)}"


def service(name: str) -> Document:
    """A service as a policy's principal."""
    return {"Service": f"{name}.amazonaws.com"}


def policy(*statements: Document) -> Document:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
