"""What is due when a job has ended: register its model, begin another attempt.

The kit acts while a command runs. So what is due is written down at submit, and done by the next `wait`, `list` or
`recover`, on whichever machine that is. Doing it twice does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.contract.states import JobState
from mlinfra.engine.effects import read_all
from mlinfra.engine.journal import FollowUp
from mlinfra.engine.submissions import REGISTER, RETRY, Submitted, load, output_prefix, start
from mlinfra.engine.track import attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.session import Session


@dataclass(frozen=True)
class Followed:
    """What came of one follow-up, in words; the version or the new attempt where there is one."""

    kind: str
    outcome: str
    version: VersionObservation | None = None
    job: JobObservation | None = None


def follow_up(session: Session, job: JobObservation) -> list[Followed]:
    """Do what is due after a job that has ended. Safe to repeat; does nothing for a job under way."""
    if not job.state.terminal or not job.id:
        return []
    submitted = load(session, job.id)
    if submitted is None:
        return []
    due = submitted.follow_ups(session.adapter.capabilities)
    done = [_DO[kind](session, submitted, job) for kind in due]
    for kind in due:
        session.journal.followed_up(session.environment.id, FollowUp(job.id, kind))
    return [each for each in done if each is not None]


def follow_up_all(session: Session) -> list[Followed]:
    """Do whatever the journal says is due and whose job has ended."""
    work_ids = {owed.job for owed in session.journal.follow_ups(session.environment.id)}
    done: list[Followed] = []
    for work_id in sorted(work_ids):
        tried = attempts(session, work_id)
        if tried:
            done += follow_up(session, tried[-1])
    return done


def metrics_of(session: Session, job: JobObservation) -> dict[str, float]:
    """The last value of each metric that the job logged."""
    replies = read_all(session, session.adapter.runs.metrics(job, session.environment))
    points = session.adapter.observe.metrics(replies, session.environment)
    return {**job.metrics, **{point.name: point.value for point in points}}


def unmet(submitted: Submitted, metrics: Mapping[str, float]) -> list[str]:
    """The conditions of `register.when` that do not hold, in words. A missing or NaN metric never holds."""
    register = submitted.spec.register_
    return [
        f"{name} is {metrics.get(name, 'missing')}, asked for {threshold}"
        for name, threshold in (register.when.items() if register else ())
        if name not in metrics or not threshold.holds(metrics[name])
    ]


def _register(session: Session, submitted: Submitted, job: JobObservation) -> Followed | None:
    register = submitted.spec.register_
    if register is None or job.state is not JobState.SUCCEEDED:
        return None
    metrics = metrics_of(session, job)
    if reasons := unmet(submitted, metrics):
        return Followed(REGISTER, f"{register.name} was not registered: {'; '.join(reasons)}")
    from mlinfra.engine.models import register_from_store  # noqa: PLC0415  a submission registers nothing yet

    version = register_from_store(
        session,
        register.name,
        job.outputs.get(register.output) or f"{output_prefix(job.id, job.attempt)}/{register.output}",
        lineage=lineage(submitted, job),
        metrics=metrics,
        tags=dict(submitted.spec.tags),
    )
    return Followed(REGISTER, f"registered {version.name}", version=version)


def lineage(submitted: Submitted, job: JobObservation) -> dict[str, object]:
    """Where a model came from: the job, its code and its data, by digest."""
    return {
        "job": job.id,
        "attempt": job.attempt,
        "name": job.name,
        "code": submitted.code,
        "inputs": {name: artefact.digest or artefact.uri for name, artefact in submitted.inputs.items()},
        "params": dict(submitted.spec.params),
    }


def _retry(session: Session, submitted: Submitted, job: JobObservation) -> Followed | None:
    """Another attempt after the platform, not the user's code, ended one; counted apart from the user's failures."""
    if job.state.reusable or not job.interrupted:
        return None
    lost = [each for each in attempts(session, submitted.id) if each.interrupted]
    allowed = submitted.spec.retries.infrastructure
    if len(lost) > allowed:
        return Followed(RETRY, f"{job.name} was interrupted {len(lost)} times; {allowed} retries were allowed")
    again = start(session, submitted, job.attempt + 1)
    return Followed(RETRY, f"{job.name} was interrupted; attempt {again.attempt} began", job=again)


_DO = {REGISTER: _register, RETRY: _retry}
