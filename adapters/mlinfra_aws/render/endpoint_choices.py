"""The machine and image of an endpoint's servers, and what SageMaker does not take of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.catalog.aws import choose
from mlinfra.contract.jobs import Choice
from mlinfra.errors import CapabilityError
from mlinfra_aws.render.endpoint_hosting import check_hosting, serverless_config

if TYPE_CHECKING:
    from mlinfra.catalog.machines import Fit
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

REQUESTS_PER_MINUTE = 1_000  # that one instance is to bear where the spec does not say; any server of the kit does


def choices(spec: EndpointSpec, environment: Environment) -> list[Choice]:
    """The machine that each replica gets, the image, and when another replica is added.

    Raises:
        CapabilityError: no machine is enough, SageMaker cannot do what the spec asks, or there is no serving image.
    """
    check_hosting(spec, environment)
    if captures_itself(spec):
        _refuse_without_a_network(environment)
    elif spec.capture is not None:
        sample_percent(spec.capture.sample.fraction)
    image = Choice("image", serving_image(environment), "the environment's image for serving")
    if spec.serverless is not None:
        memory, most = serverless_config(spec).values()
        return [Choice("machine", "serverless", f"{memory} MB a server, {most} requests at once"), image]
    found = machine_of(spec)
    return [
        Choice("machine", found.machine.name, f"{found.machine}: {found.reason}"),
        image,
    ]


def captures_itself(spec: EndpointSpec) -> bool:
    """Whether the server keeps the records in SageMaker's place, which masks no column."""
    return spec.capture is not None and bool(spec.capture.exclude)


def machine_of(spec: EndpointSpec) -> Fit:
    """The instance type for a spec's resources.

    Raises:
        CapabilityError: none is enough.
        SpecError: the spec names one that SageMaker does not host on.
    """
    return choose(spec.resources, "hosting", spec.machine.get("aws"))


def serving_image(environment: Environment) -> str:
    """The image that models are served in.

    Raises:
        CapabilityError: the environment has none.
    """
    image = environment.images.get("serving")
    if image is None:
        raise CapabilityError(
            "SageMaker's hosting passes no command, so serving needs an image of its own, and there is none",
            given=environment.name,
            allowed="images.serving of the environment",
            todo="`mlinfra image build` makes one",
        )
    return image.uri


def sample_percent(share: float) -> int:
    """A share as SageMaker samples: in whole percents (DataCaptureConfig's InitialSamplingPercentage).

    Raises:
        CapabilityError: it is none.
    """
    percent = round(share * 100, 9)
    if percent != int(percent):
        raise CapabilityError(
            "SageMaker samples whole percents",
            given=f"capture.sample: {percent:g}%",
            allowed="0% to 100%, whole",
            todo="round `capture.sample`",
        )
    return int(percent)


def _refuse_without_a_network(environment: Environment) -> None:
    if environment.network.isolated:
        raise CapabilityError(
            "capture.exclude cannot be had where containers have no network: SageMaker itself records requests whole",
            given=f"network.isolated of environment {environment.name}",
            todo="leave `capture.exclude` or `capture` out for this environment, or serve in one that is not isolated",
        )
