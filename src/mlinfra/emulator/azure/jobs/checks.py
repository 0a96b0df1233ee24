"""What Jobs_CreateOrUpdate refuses beside what the generated models say: contradictions, impossible wishes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints.durations import seconds
from mlinfra.emulator.azure.jobs import bindings, machines, processes
from mlinfra.emulator.azure.jobs.data import LITERAL
from mlinfra.emulator.azure.jobs.job import MUTABLE
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.jobs.computes import Compute
    from mlinfra.emulator.azure.jobs.job import Job

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")
_BINDING = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,254}")
_LONGEST = 21 * 86_400.0  # s
_MOST_PROCESSES = 64  # what the host runs at most as one job
_SPOT = "Spot"
_KINDS = ("PyTorch", "Mpi", "TensorFlow")
_SET_BY_SERVICE = frozenset({"status", "services", "jobType"})


def check(name: str, asked: Mapping[str, Any], compute: Compute | None) -> None:
    """Refuse a job that contradicts itself, or asks for what is not emulated. `compute` is the cluster it names.

    Raises:
        Refusal: UserError, with the member at fault; NotImplemented.
    """
    if not _NAME.fullmatch(name):
        raise refusals.invalid(f"The job name '{name}' is invalid: letters, digits, dashes and underscores only.", "id")
    if asked.get("jobType") != "Command":
        raise refusals.not_emulated(f"A job of the type {asked.get('jobType')}")
    if not str(asked.get("command") or "").strip():
        raise refusals.invalid("The command of a command job must not be empty.", "properties.command")
    _check_bindings(asked)
    _check_resources(asked, compute)
    timeout = (asked.get("limits") or {}).get("timeout")
    if timeout and not 0 < seconds(timeout, "properties.limits.timeout") <= _LONGEST:
        raise refusals.invalid("The timeout must be above zero and at most 21 days.", "properties.limits.timeout")


def check_update(job: Job, asked: Mapping[str, Any]) -> None:
    """Refuse a second PUT that would change what cannot change.

    Raises:
        Refusal: the member that would.
    """
    for member, value in asked.items():
        if member in MUTABLE | _SET_BY_SERVICE or value is None or _same(job.asked.get(member), value):
            continue
        raise refusals.user_error(
            f"A job with the name {job.name} exists already, and its {member} is immutable. Only tags, description, "
            "displayName, properties, services and isArchived can be changed.",
            "ImmutableProperty",
            target=f"properties.{member}",
        )
    before = job.asked.get("properties") or {}
    for key, value in (asked.get("properties") or {}).items():
        if key in before and before[key] != value:
            raise refusals.user_error(f"The property {key} of a job is immutable.", "ImmutableProperty")


def _same(before: Any, after: Any) -> bool:
    """Whether a member is as it was; what the service filled in does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(value is None or _same(before.get(key), value) for key, value in after.items())
    if isinstance(before, str) and isinstance(after, str) and before.startswith("/"):
        return before.lower() == after.lower()
    return bool(before == after)


def _check_bindings(asked: Mapping[str, Any]) -> None:
    known = []
    for kind in ("inputs", "outputs"):
        for name, each in (asked.get(kind) or {}).items():
            target = f"properties.{kind}.{name}"
            if not _BINDING.fullmatch(name):
                raise refusals.invalid(f"The name '{name}' of {kind} is invalid.", target)
            if kind == "inputs" and each.get("jobInputType") != LITERAL and not each.get("uri"):
                raise refusals.invalid(f"The input {name} has no uri.", target)
            known.append(f"{kind}.{name}")
    bindings.check(str(asked["command"]), known, "properties.command")


def _check_resources(asked: Mapping[str, Any], compute: Compute | None) -> None:
    resources = asked.get("resources") or {}
    count = int(resources.get("instanceCount") or 1)
    target = "properties.resources.instanceCount"
    if count < 1 or (compute and count > compute.most):
        most = f" and at most {compute.most}, the nodes of {own(compute.id)}" if compute else ""
        raise refusals.invalid(f"The instance count must be at least 1{most}, not {count}.", target)
    if resources.get("instanceType") and not compute:
        machines.check(str(resources["instanceType"]), "properties.resources.instanceType")
    tier = (asked.get("queueSettings") or {}).get("jobTier")
    if tier == _SPOT and compute:
        told = "The job tier Spot is for serverless compute; a cluster's own priority decides for its jobs."
        raise refusals.invalid(told, "properties.queueSettings.jobTier")
    kind = (asked.get("distribution") or {}).get("distributionType")
    if kind not in {None, *_KINDS}:
        raise refusals.not_emulated(f"The distribution {kind}")
    if len(processes.of(asked)) > _MOST_PROCESSES:
        raise refusals.not_emulated(f"A job with more than {_MOST_PROCESSES} processes")
