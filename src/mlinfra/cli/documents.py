"""The documents that `-o json` prints for jobs, versions and endpoints. Fields are added, never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.api.jobs import Job
    from mlinfra.contract.jobs import Artefact, LogLine
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.contract.store import ObjectInfo
    from mlinfra.engine.followups import Followed


def job(subject: Job) -> dict[str, Any]:
    """A job: how to name it, where it stands, what came of it."""
    observed = subject.observed
    return {
        "handle": subject.handle,
        "id": observed.id,
        "attempt": observed.attempt,
        "name": observed.name,
        "state": observed.state.value,
        "detail": observed.detail,
        "reason": observed.reason,
        "exit_code": observed.exit_code,
        "interrupted": observed.interrupted,
        "created": observed.created,
        "started": observed.started,
        "ended": observed.ended,
        "machine": observed.machine,
        "metrics": dict(observed.metrics),
        "outputs": {name: artefact(each) for name, each in observed.outputs.items()},
        "tags": dict(observed.tags),
    }


def submitted(subject: Job) -> dict[str, Any]:
    """A job after its submission: whether it was there before, and what is due after it."""
    return {**job(subject), "reused": subject.reused, "due": list(subject.due)}


def followed(subject: Followed) -> dict[str, Any]:
    """What was done after a job's end."""
    return {
        "kind": subject.kind,
        "outcome": subject.outcome,
        "version": subject.version.name if subject.version else None,
        "job": subject.job.native_id if subject.job else None,
    }


def artefact(subject: Artefact) -> dict[str, Any]:
    """Bytes somewhere."""
    return {"uri": subject.uri, "digest": subject.digest, "size": subject.size}


def line(subject: LogLine) -> dict[str, Any]:
    """One line of a log."""
    return {"time": subject.time, "source": subject.source, "text": subject.text}


def point(subject: MetricPoint) -> dict[str, Any]:
    """One logged value."""
    return {"name": subject.name, "value": subject.value, "step": subject.step, "time": subject.time}


def stored(subject: ObjectInfo) -> dict[str, Any]:
    """An object of the store."""
    return {
        "key": subject.key,
        "size": subject.size,
        "etag": subject.etag,
        "modified": subject.modified,
        "metadata": dict(subject.metadata),
    }
