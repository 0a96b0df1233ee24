"""What one machine must have at least. The cheapest machine that fits is chosen, and the plan says which and why."""

from typing import Annotated, Literal

from pydantic import Field

from mlinfra.spec import defaults
from mlinfra.spec.base import Model
from mlinfra.spec.limits import ACCELERATORS, NODES
from mlinfra.spec.quantities import PositiveDuration, Size
from mlinfra.spec.scalars import Text

AcceleratorKind = Annotated[
    str, Text(r"[a-z0-9]+(?:-[a-z0-9]+)*", "lower-case letters, digits and dashes, such as t4, l4 or a100-80gb", "kind")
]


class Accelerator(Model):
    """Accelerators of one kind on each machine."""

    kind: AcceleratorKind = Field(description="The vendor's name in lower case, such as t4, l4, v100, a100 or h100.")
    count: int = Field(default=1, ge=1, le=ACCELERATORS, description="How many on each machine.")


class Hardware(Model):
    """What one machine must have at least, for jobs and endpoints alike."""

    cpu: int | None = Field(default=None, ge=1, le=1_024, description="Virtual processors.")
    memory: Size | None = Field(default=None, description="Main memory.")
    disk: Size | None = Field(default=None, description="Disk for code, inputs, outputs and the container.")
    accelerator: Accelerator | None = Field(default=None, description="GPUs or their like.")


class Resources(Hardware):
    """What a job needs."""

    spot: bool = Field(
        default=False,
        description="Cheaper machines that the platform may take back at any time. Worth it with `checkpoint: true`.",
    )
    max_runtime: PositiveDuration = Field(
        default=defaults.MAX_RUNTIME,
        description="The job is stopped after it. Time spent waiting for machines is apart.",
    )
    nodes: int = Field(default=1, ge=1, le=NODES, description="Machines of that kind, each running the command.")
    distribution: Literal["torch"] | None = Field(
        default=None, description="How the script's processes on several nodes find each other."
    )


class EndpointResources(Hardware):
    """What one replica of an endpoint needs."""
