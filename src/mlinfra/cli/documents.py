"""The documents that `-o json` prints for jobs, versions and endpoints. Fields are added, never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.api.jobs import Job
    from mlinfra.api.models import Version
    from mlinfra.contract.endpoints import DeploymentObservation, EndpointObservation
    from mlinfra.contract.jobs import Artefact, LogLine
    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.contract.store import ObjectInfo
    from mlinfra.engine.approval import Decision
    from mlinfra.engine.audit import Entry
    from mlinfra.engine.endpoint_work import Outcome
    from mlinfra.engine.endpoints import Shown as ShownEndpoint
    from mlinfra.engine.evaluations import Evaluation
    from mlinfra.engine.followups import Followed
    from mlinfra.engine.models import Shown
    from mlinfra.engine.replay import Replay


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


def version(subject: Version) -> dict[str, Any]:
    """A model version as the registry tells it."""
    return _version(subject.observed, subject.handle)


def known_version(subject: Shown) -> dict[str, Any]:
    """A model version with its package's manifest, evaluations and standing."""
    return {
        **_version(subject.version, subject.handle),
        "manifest": subject.manifest.as_document() if subject.manifest else None,
        "problem": subject.problem,
        "evaluations": [evaluation(each) for each in subject.evaluations],
        "approved": subject.standing.approved,
        "standing": subject.standing.reason,
        "registrants": list(subject.standing.registrants),
        "decisions": [decision(each) for each in subject.standing.decisions],
        "console": subject.console_url,
    }


def evaluation(subject: Evaluation) -> dict[str, Any]:
    """One set of measures."""
    return {
        "digest": subject.digest,
        "time": subject.time,
        "who": subject.who,
        "metrics": dict(subject.metrics),
        "details": dict(subject.details),
    }


def decision(subject: Decision) -> dict[str, Any]:
    """One approval or rejection."""
    return {
        "version": f"{subject.model}:{subject.version}",
        "digest": subject.digest,
        "decision": subject.decision.value,
        "approver": subject.approver,
        "account": subject.account,
        "time": subject.time,
        "note": subject.note,
    }


def entry(subject: Entry) -> dict[str, Any]:
    """One line of the log."""
    return {
        "time": subject.time,
        "who": subject.who,
        "verb": subject.verb,
        "subject": subject.subject,
        "details": dict(subject.details),
    }


def _version(observed: VersionObservation, handle: str) -> dict[str, Any]:
    return {
        "handle": handle,
        "name": observed.name,
        "model": observed.model,
        "version": observed.version,
        "state": observed.state.value,
        "digest": observed.digest,
        "uri": observed.artefact.uri if observed.artefact else None,
        "aliases": list(observed.aliases),
        "stage": observed.stage,
        "owner": observed.owner,
        "created": observed.created,
        "metrics": dict(observed.metrics),
        "lineage": dict(observed.lineage),
        "tags": dict(observed.tags),
    }


def endpoint(observed: EndpointObservation, handle: str) -> dict[str, Any]:
    """An endpoint as the platform tells it."""
    return {
        "handle": handle,
        "name": observed.name,
        "physical_name": observed.physical_name,
        "state": observed.state.value,
        "reason": observed.reason,
        "detail": observed.detail,
        "url": observed.url,
        "traffic": observed.traffic,
        "deployments": [_deployment(each) for each in observed.deployments],
        "created": observed.created,
        "expires": observed.expires,
        "owned_by_stack": observed.owned_by_stack,
        "tags": dict(observed.tags),
    }


def known_endpoint(subject: ShownEndpoint) -> dict[str, Any]:
    """An endpoint with its rollout and how to call it."""
    rollout = subject.book.under_way
    return {
        **endpoint(subject.endpoint, subject.handle),
        "rollout": rollout.as_document() if rollout else None,
        "serves": subject.book.current.title if subject.book.current else None,
        "previous": [release.title for release in subject.book.previous],
        "console": subject.console_url,
        "calls": {"curl": subject.snippets.curl, "python": subject.snippets.python},
    }


def outcome(subject: Outcome, environment: str) -> dict[str, Any]:
    """What a verb did to an endpoint, and the endpoint after it."""
    there = subject.endpoint
    return {
        "change": subject.change.value,
        "watched_by": subject.watched_by,
        "endpoint": endpoint(there, f"{environment}/endpoint/{there.name}") if there else None,
        "rollout": subject.rollout.as_document() if subject.rollout else None,
    }


def replay(subject: Replay) -> dict[str, Any]:
    """What came of a replay."""
    return {
        "asked": subject.asked,
        "same": subject.same,
        "different": subject.different,
        "passed_over": dict(subject.passed_over),
        "differences": [vars(each) for each in subject.differences],
    }


def _deployment(subject: DeploymentObservation) -> dict[str, Any]:
    return {
        "name": subject.name,
        "state": subject.state.value,
        "reason": subject.reason,
        "traffic": subject.traffic,
        "replicas": subject.replicas,
        "ready_replicas": subject.ready_replicas,
        "model": subject.model,
        "version": subject.version,
        "digest": subject.digest,
        "created": subject.created,
    }
