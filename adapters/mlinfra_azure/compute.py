"""Where a job runs: on one of the environment's clusters, or on machines that the service finds by itself.

`native.clusters` tells of each cluster its machine and whether it is spare capacity; one that is enough is taken, the
likely cheapest first. A spec may name a cluster, or a size, under `machine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.catalog import azure as catalog
from mlinfra.catalog.machines import exact, fit
from mlinfra.errors import CapabilityError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.catalog.machines import Machine
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec


@dataclass(frozen=True)
class Compute:
    """A place for jobs as people read it, and why: a `cluster`, or machines of a `size` that the service finds."""

    title: str
    reason: str
    cluster: str = ""
    size: str = ""


def compute(spec: JobSpec, environment: Environment) -> Compute:
    """Where a job runs, and why.

    Raises:
        CapabilityError: no machine is enough, or the cluster that is named has no spare capacity.
        SpecError: there is no such cluster or size.
    """
    asked = spec.machine.get("azure")
    if asked is not None and asked in environment.compute:
        return _named(asked, spec, environment)
    if asked is None and (found := _enough(spec, environment)):
        return found
    chosen = catalog.choose(spec.resources, "training", asked)
    return Compute(str(chosen.machine), f"serverless; {chosen.reason}", size=chosen.machine.name)


def _named(name: str, spec: JobSpec, environment: Environment) -> Compute:
    about = _known(environment).get(name, {})
    if spec.resources.spot and about and not about.get("spot"):
        raise CapabilityError(
            "resources.spot: this cluster has no spare capacity",
            given=name,
            todo="leave `machine` or `resources.spot` out, or name a cluster with spare capacity",
        )
    machine = _machine(about)
    return Compute(f"cluster {name}" + (f", {machine}" if machine else ""), "asked for", environment.compute[name])


def _enough(spec: JobSpec, environment: Environment) -> Compute | None:
    """The cluster whose machines are enough; none where the environment tells of no such cluster."""
    alike = {
        name: machine
        for name, about in _known(environment).items()
        if name in environment.compute
        and bool(about.get("spot")) == spec.resources.spot
        and (machine := _machine(about)) is not None
    }
    if not alike:
        return None
    try:
        chosen = fit(spec.resources, alike.values(), default=next(iter(alike.values())).name)
    except CapabilityError:
        return None  # the service has larger machines than the environment's clusters
    name = next(name for name, machine in alike.items() if machine == chosen.machine)
    return Compute(f"cluster {name}, {chosen.machine}", "the environment's own", environment.compute[name])


def _known(environment: Environment) -> Mapping[str, Mapping[str, Any]]:
    known: Mapping[str, Mapping[str, Any]] = environment.native.get("clusters") or {}
    return known


def _machine(about: Mapping[str, Any]) -> Machine | None:
    """The size of a cluster's machines; none of one that the catalogue does not know."""
    try:
        return exact(str(about.get("machine", "")), catalog.machines("training")).machine
    except SpecError:
        return None
