"""Names and tags by which what stands behind an endpoint is found again.

Azure ML's names are the caller's: an endpoint's is unique in its region, among all customers, so it carries six digits
of the environment; a deployment's is the kit's own. What a deployment serves its tags tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlinfra.spec import derive_name

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import DeploymentDesired
    from mlinfra.environment import Environment

NAME_TAG = "mlinfra_endpoint"  # the spec's name
ENVIRONMENT_TAG = "mlinfra_environment"  # its suffix: a workspace may hold several environments
EXPIRES_TAG = "mlinfra_expires"  # on the endpoint: when `env sweep` may remove it
OWNER_TAG = "mlinfra_owner"  # on the endpoint: "stack" where a stack owns it whole
SERVES_TAG = "mlinfra_serves"  # on a deployment: model, version and digest
STACK = "stack"


class Serves(NamedTuple):
    """What a deployment serves, as its tag tells it."""

    model: str = ""
    version: str = ""
    digest: str = ""


def physical_name(name: str, environment: Environment) -> str:
    """The spec's name and six digits of the environment."""
    return derive_name("endpoint", "azure", name, environment_id=environment.id)


def spec_name(physical_name: str, environment: Environment) -> str:
    """The inverse of `physical_name`: no endpoint's name is so long that it would be cut."""
    return physical_name.removesuffix(f"-{environment.suffix}")


def is_ours(physical_name: str, environment: Environment) -> bool:
    """Whether an endpoint of the workspace is this environment's: the kit's, or a stack's shell for it."""
    return physical_name.endswith(f"-{environment.suffix}")


def setting_name(endpoint: str, deployment: str) -> str:
    """The name of a deployment's autoscale setting, which a resource group holds; no name of either has two dashes."""
    return f"mlinfra--{endpoint}--{deployment}"


def serves_text(deployment: DeploymentDesired) -> str:
    """What a deployment's tag says of it."""
    return f"{deployment.model}:{deployment.version} {deployment.digest}"


def served(text: str) -> Serves:
    """The inverse of `serves_text`; a text that is none of the kit's tells nothing."""
    named, _, digest = text.partition(" ")
    model, _, version = named.rpartition(":")
    return Serves(model, version, digest) if model and digest else Serves()
