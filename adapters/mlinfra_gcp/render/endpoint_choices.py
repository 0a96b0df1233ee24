"""The machine and image of an endpoint's servers, and what Vertex AI does not take of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.catalog.gcp import choose
from mlinfra.contract.jobs import Choice
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.catalog.machines import Fit
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec


def choices(spec: EndpointSpec, environment: Environment) -> list[Choice]:
    """The machine that each replica gets, and the image.

    Raises:
        CapabilityError: no machine is enough, or there is no serving image.
    """
    found = machine_of(spec)
    return [
        Choice("machine", found.machine.name, f"{found.machine}: {found.reason}"),
        Choice("image", serving_image(environment), "the environment's image for serving"),
    ]


def machine_of(spec: EndpointSpec) -> Fit:
    """The machine type for a spec's resources.

    Raises:
        CapabilityError: none is enough.
        SpecError: the spec names one that Vertex AI does not predict on.
    """
    return choose(spec.resources, "hosting", spec.machine.get("gcp"))


def serving_image(environment: Environment) -> str:
    """The image that models are served in.

    Raises:
        CapabilityError: the environment has none.
    """
    image = environment.images.get("serving")
    if image is None:
        raise CapabilityError(
            "Vertex AI takes models in images of Artifact Registry alone, and the environment has none for serving",
            given=environment.name,
            allowed="images.serving of the environment",
            todo="`mlinfra image build` makes one",
        )
    return image.uri
