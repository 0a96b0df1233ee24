"""What the kit knows of jobs, versions and endpoints, as the documents that `-o json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.api.endpoints import Endpoint
    from mlinfra.api.jobs import Job
    from mlinfra.api.models import Version
    from mlinfra.cli import shapes
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
    from mlinfra.engine.models import Shown as ShownVersion
    from mlinfra.engine.replay import Replay


def job(subject: Job) -> shapes.JobShape:
    """A job."""
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
        "console": subject.console_url,
    }


def submitted(subject: Job) -> shapes.SubmittedShape:
    """A job after its submission."""
    return {**job(subject), "reused": subject.reused, "due": list(subject.due)}


def followed(subject: Followed) -> shapes.FollowedShape:
    """What was done after a job's end."""
    return {
        "kind": subject.kind,
        "outcome": subject.outcome,
        "version": subject.version.name if subject.version else None,
        "job": subject.job.native_id if subject.job else None,
    }


def artefact(subject: Artefact) -> shapes.ArtefactShape:
    """Bytes somewhere."""
    return {"uri": subject.uri, "digest": subject.digest, "size": subject.size}


def line(subject: LogLine) -> shapes.LineShape:
    """One line of a log."""
    return {"time": subject.time, "source": subject.source, "text": subject.text}


def point(subject: MetricPoint) -> shapes.PointShape:
    """One logged value."""
    return {"name": subject.name, "value": subject.value, "step": subject.step, "time": subject.time}


def stored(subject: ObjectInfo, uri: str) -> shapes.ObjectShape:
    """An object of the store."""
    return {
        "key": subject.key,
        "uri": uri,
        "size": subject.size,
        "etag": subject.etag,
        "modified": subject.modified,
        "metadata": dict(subject.metadata),
    }


def version(subject: Version) -> shapes.VersionShape:
    """A model version."""
    return _version(subject.observed, subject.handle)


def known_version(subject: ShownVersion) -> shapes.KnownVersionShape:
    """A model version with all that is known of it."""
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


def evaluation(subject: Evaluation) -> shapes.EvaluationShape:
    """One set of measures."""
    return {
        "digest": subject.digest,
        "time": subject.time,
        "who": subject.who,
        "metrics": dict(subject.metrics),
        "details": dict(subject.details),
    }


def decision(subject: Decision) -> shapes.DecisionShape:
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


def entry(subject: Entry) -> shapes.EntryShape:
    """One line of the log."""
    return {
        "time": subject.time,
        "who": subject.who,
        "verb": subject.verb,
        "subject": subject.subject,
        "details": dict(subject.details),
    }


def endpoint(subject: Endpoint) -> shapes.EndpointShape:
    """An endpoint."""
    return _endpoint(subject.observed, subject.handle)


def known_endpoint(subject: ShownEndpoint) -> shapes.KnownEndpointShape:
    """An endpoint with all that is known of it."""
    standing, book = subject.book.under_way, subject.book
    return {
        **_endpoint(subject.endpoint, subject.handle),
        "rollout": standing.as_document() if standing else None,
        "serves": book.current.title if book.current else None,
        "previous": [release.title for release in book.previous],
        "console": subject.console_url,
        "calls": {"curl": subject.snippets.curl, "python": subject.snippets.python},
    }


def outcome(subject: Outcome, environment: str) -> shapes.OutcomeShape:
    """What a command did to an endpoint."""
    there = subject.endpoint
    return {
        "change": subject.change.value,
        "watched_by": subject.watched_by,
        "endpoint": _endpoint(there, f"{environment}/endpoint/{there.name}") if there else None,
        "rollout": subject.rollout.as_document() if subject.rollout else None,
    }


def replay(subject: Replay) -> shapes.ReplayShape:
    """What came of a replay."""
    return {
        "asked": subject.asked,
        "same": subject.same,
        "different": subject.different,
        "passed_over": dict(subject.passed_over),
        "differences": [
            {
                "id": each.id,
                "time": each.time,
                "captured": each.captured,
                "answered": each.answered,
                "reason": each.reason,
            }
            for each in subject.differences
        ],
    }


def _version(observed: VersionObservation, handle: str) -> shapes.VersionShape:
    return {
        "handle": handle,
        "name": observed.name,
        "model": observed.model,
        "version": observed.version,
        "state": observed.state.value,
        "digest": observed.digest,
        "uri": observed.artefact.uri if observed.artefact else "",
        "aliases": list(observed.aliases),
        "stage": observed.stage,
        "owner": observed.owner,
        "created": observed.created,
        "metrics": dict(observed.metrics),
        "lineage": dict(observed.lineage),
        "tags": dict(observed.tags),
    }


def _endpoint(observed: EndpointObservation, handle: str) -> shapes.EndpointShape:
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


def _deployment(subject: DeploymentObservation) -> shapes.DeploymentShape:
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
