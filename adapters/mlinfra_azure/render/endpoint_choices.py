"""The machine and image of an endpoint's servers, and what Azure ML does not take of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.catalog.azure import choose
from mlinfra.contract.jobs import Choice
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.catalog.machines import Fit
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

PLATFORM = "azure"
DEPLOY = "OnlineDeployments_CreateOrUpdate"
MANAGED, KUBERNETES = "Managed", "Kubernetes"  # the kinds of a deployment (EndpointComputeType)


def choices(spec: EndpointSpec, environment: Environment) -> list[Choice]:
    """The machine that each replica gets, and the image.

    Raises:
        CapabilityError: no machine is enough, or there is no serving image.
    """
    image = Choice("image", serving_image(environment), "the environment's image for serving")
    if compute_type(spec) == KUBERNETES:
        return [Choice("machine", "kubernetes", "a share of the attached cluster's nodes"), image]
    found = machine_of(spec)
    return [Choice("machine", found.machine.name, f"{found.machine}: {found.reason}"), image]


def compute_type(spec: EndpointSpec) -> str:
    """The kind of an endpoint's deployments: managed, unless an override says otherwise."""
    patch = spec.overrides.get(PLATFORM, {}).get(DEPLOY, {}).get("properties") or {}
    return str(patch.get("endpointComputeType") or MANAGED)


def machine_of(spec: EndpointSpec) -> Fit:
    """The machine type for a spec's resources.

    Raises:
        CapabilityError: none is enough.
        SpecError: the spec names one that Azure ML does not host on.
    """
    return choose(spec.resources, "hosting", spec.machine.get(PLATFORM))


def serving_image(environment: Environment) -> str:
    """The image that models are served in.

    Raises:
        CapabilityError: the environment has none.
    """
    image = environment.images.get("serving")
    if image is None:
        raise CapabilityError(
            "a deployment of Azure ML runs an image that holds the server, and the environment has none for serving",
            given=environment.name,
            allowed="images.serving of the environment",
            todo="`mlinfra image build` makes one",
        )
    return image.uri
