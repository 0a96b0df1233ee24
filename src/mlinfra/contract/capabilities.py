"""What a platform can do, as data with a reason: refusals come from here, before anything is sent.

The support table in the documentation is generated from the same data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.spec import EndpointSpec, JobSpec


class Capability(StrEnum):
    """Something that not every platform can do by itself. The value is its name in tables and errors."""

    JOB_IMAGE = "job.image"  # the user's own container image
    JOB_SHELL = "job.shell"  # a shell line in place of an argument vector
    JOB_SPOT = "job.spot"
    JOB_NODES = "job.nodes"  # more than one node
    JOB_DISTRIBUTION = "job.distribution"
    JOB_ACCELERATOR = "job.accelerator"
    JOB_DISK = "job.disk"  # a disk size of one's own
    JOB_SECRETS = "job.secrets"
    JOB_MEMORY_LIMIT = "job.memory_limit"
    JOB_TIME_LIMIT = "job.time_limit"
    JOB_RETRIES = "job.retries"  # after a fault of the infrastructure
    JOB_METRICS = "job.metrics"
    JOB_LOGS = "job.logs"
    MODEL_ALIASES = "model.aliases"
    MODEL_STAGE = "model.stage"
    MODEL_APPROVAL = "model.approval"
    ENDPOINT_TRAFFIC = "endpoint.traffic"
    ENDPOINT_TARGET = "endpoint.target"  # a call to one named deployment
    ENDPOINT_SHADOW = "endpoint.shadow"
    ENDPOINT_AUTOSCALE = "endpoint.autoscale"
    ENDPOINT_SCALE_TO_ZERO = "endpoint.scale_to_zero"
    ENDPOINT_SERVERLESS = "endpoint.serverless"
    ENDPOINT_ASYNCHRONOUS = "endpoint.asynchronous"
    ENDPOINT_CAPTURE = "endpoint.capture"
    ENDPOINT_CAPTURE_EXCLUDE = "endpoint.capture_exclude"
    ENDPOINT_PUBLIC = "endpoint.public"
    ENDPOINT_CALLERS = "endpoint.callers"
    ENDPOINT_ACCELERATOR = "endpoint.accelerator"
    ENDPOINT_TTL = "endpoint.ttl"
    ROLLOUT_NATIVE = "rollout.native"  # the platform's own guard watches a rollout, by alarms that the adapter makes


class Level(StrEnum):
    """Who does it."""

    NATIVE = "natively"
    KIT = "by the kit"
    ABSENT = "not"


@dataclass(frozen=True)
class Support:
    """One cell of the support table. Anything but `NATIVE` has a reason."""

    level: Level
    reason: str = ""

    def __post_init__(self) -> None:
        if self.level is not Level.NATIVE and not self.reason:
            raise ValueError(f"support {self.level.value!r} needs a reason")


Capabilities: TypeAlias = Mapping[Capability, Support]

NATIVE = Support(Level.NATIVE)


def by_the_kit(reason: str) -> Support:
    """The platform has nothing of the kind; the kit does it."""
    return Support(Level.KIT, reason)


def absent(reason: str) -> Support:
    """It cannot be had on this platform."""
    return Support(Level.ABSENT, reason)


@dataclass(frozen=True)
class Loss:
    """One line of the loss report: a field of the spec that the platform does not do natively as written."""

    field: str
    treatment: str  # "by the kit", "approximated" or "impossible"
    reason: str


def support(capabilities: Capabilities, capability: Capability) -> Support:
    """What an adapter declares; a capability that it does not mention is absent."""
    return capabilities.get(capability, absent("this adapter does not declare it"))


def losses(capabilities: Capabilities, needed: Mapping[str, Capability]) -> list[Loss]:
    """The loss report for the fields that need a capability, in the order given."""
    report = []
    for field, capability in needed.items():
        cell = support(capabilities, capability)
        if cell.level is Level.KIT:
            report.append(Loss(field, "by the kit", cell.reason))
        elif cell.level is Level.ABSENT:
            report.append(Loss(field, "impossible", cell.reason))
    return report


def require(platform: str, capabilities: Capabilities, needed: Mapping[str, Capability]) -> None:
    """Refuse what the platform cannot do.

    Raises:
        CapabilityError: names the first such field, the reason, and the others.
    """
    missing = [loss for loss in losses(capabilities, needed) if loss.treatment == "impossible"]
    if not missing:
        return
    also = ", ".join(loss.field for loss in missing[1:])
    raise CapabilityError(
        f"{missing[0].field} cannot be had on {platform}: {missing[0].reason}",
        given=missing[0].field + (f" (and {also})" if also else ""),
        todo="leave it out for this environment with an overlay under `environments`, or choose another environment",
    )


def needed_by_job(spec: JobSpec) -> dict[str, Capability]:
    """Field -> capability, for what this job asks for beyond the common ground."""
    asked = {
        "image": (spec.image is not None, Capability.JOB_IMAGE),
        "shell": (spec.shell is not None, Capability.JOB_SHELL),
        "resources.spot": (spec.resources.spot, Capability.JOB_SPOT),
        "resources.nodes": (spec.resources.nodes > 1, Capability.JOB_NODES),
        "resources.distribution": (spec.resources.distribution is not None, Capability.JOB_DISTRIBUTION),
        "resources.accelerator": (spec.resources.accelerator is not None, Capability.JOB_ACCELERATOR),
        "resources.disk": (spec.resources.disk is not None, Capability.JOB_DISK),
        "secrets": (bool(spec.secrets), Capability.JOB_SECRETS),
    }
    return {field: capability for field, (is_asked, capability) in asked.items() if is_asked}


def needed_by_endpoint(spec: EndpointSpec) -> dict[str, Capability]:
    """Field -> capability, for what this endpoint asks for beyond the common ground."""
    capture = spec.capture
    asked = {
        "deployments": (len(spec.deployments) > 1, Capability.ENDPOINT_TRAFFIC),
        "rollout.strategy": (spec.rollout.strategy == "canary", Capability.ENDPOINT_TRAFFIC),
        "scale.max": (spec.scale.max > spec.scale.min, Capability.ENDPOINT_AUTOSCALE),
        "scale.min": (spec.scale.min == 0, Capability.ENDPOINT_SCALE_TO_ZERO),
        "serverless": (spec.serverless is not None, Capability.ENDPOINT_SERVERLESS),
        "asynchronous": (spec.asynchronous is not None, Capability.ENDPOINT_ASYNCHRONOUS),
        "capture": (capture is not None, Capability.ENDPOINT_CAPTURE),
        "capture.exclude": (capture is not None and bool(capture.exclude), Capability.ENDPOINT_CAPTURE_EXCLUDE),
        "access.public": (spec.access.public, Capability.ENDPOINT_PUBLIC),
        "access.callers": (bool(spec.access.callers), Capability.ENDPOINT_CALLERS),
        "resources.accelerator": (spec.resources.accelerator is not None, Capability.ENDPOINT_ACCELERATOR),
    }
    return {field: capability for field, (is_asked, capability) in asked.items() if is_asked}
