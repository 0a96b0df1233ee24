"""The verbs on jobs that follow a submission: show, list, wait, logs, stop, delete, download."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.contract.handles import Handle
from mlinfra.contract.jobs import JobQuery
from mlinfra.contract.states import JobState
from mlinfra.engine import audit, claims
from mlinfra.engine.effects import effect, read, read_all
from mlinfra.engine.following import follow_to_end
from mlinfra.engine.followups import Followed, follow_up, metrics_of
from mlinfra.engine.track import find_jobs, observe_job, wait_for
from mlinfra.engine.transfer import download_tree
from mlinfra.errors import Conflict, IntegrityError, JobFailed, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mlinfra.contract.jobs import JobObservation, LogLine
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.engine.session import Session

_SHORTEST_ID = 6  # hex digits of a work's id that people may type
_LOG_PAUSE = 0.5  # seconds between looks at a log that is being written
_STOP_DEADLINE = 300.0
_CREATE = "create"  # the step of a submission that makes the job
REPORT = "result.json"  # the runner's own word on how the job ended, in the job's result folder
FAILURE = "failure"  # likewise the reason of a failure, and the last lines that the command printed


def resolve(session: Session, reference: str) -> JobObservation:
    """The job that a handle, a native id, or the first digits of a work's id names (its newest attempt).

    Raises:
        NotFound: there is no such job.
        UsageError: a handle of another environment or kind, or digits that fit several pieces of work.
    """
    if "/" in reference and reference.split("/", 1)[0] == session.environment.name:
        handle = Handle.parse(reference)
        if handle.kind != "job":
            raise UsageError("not the handle of a job", given=reference, allowed=f"{session.environment.name}/job/…")
        reference = handle.id
    if _looks_like_id(reference):
        found = [job for job in find_jobs(session, JobQuery()) if job.id.startswith(reference)]
        works = {job.id for job in found}
        if len(works) > 1:
            raise UsageError("several jobs begin with these digits", given=reference, todo="give more of them")
        if found:
            return measured(session, max(found, key=lambda job: job.attempt))
    return measured(session, _explained(session, observe_job(session, reference)))


def measured(session: Session, job: JobObservation) -> JobObservation:
    """A job that succeeded with the last value of each metric, which not every platform tells with the job itself."""
    if job.metrics or job.state is not JobState.SUCCEEDED:
        return job
    return replace(job, metrics=metrics_of(session, job))


def handle_of(session: Session, job: JobObservation) -> Handle:
    """How the job is named on the command line."""
    return Handle(session.environment.name, "job", job.native_id)


def list_jobs(session: Session, *, tags: dict[str, str] | None = None, name: str = "") -> list[JobObservation]:
    """The kit's jobs in this environment, the newest first."""
    found = [job for job in find_jobs(session, JobQuery(tags=tags or {})) if name in job.name]
    return sorted(found, key=lambda job: job.created.timestamp() if job.created else 0.0, reverse=True)


def wait(
    session: Session,
    jobs: Sequence[JobObservation],
    *,
    max_runtime: float,
    on_change: Callable[[JobObservation], None] = lambda _: None,
) -> tuple[list[JobObservation], list[Followed]]:
    """Wait for jobs to end and do what is due. An interrupted job's next attempt is waited for as well.

    May be killed at any moment: the jobs go on, and waiting again does the rest.
    """
    ended: list[JobObservation] = []
    followed: list[Followed] = []
    waiting = list(jobs)
    while waiting:
        ended_now = [
            _whole(session, job) for job in wait_for(session, waiting, max_runtime=max_runtime, on_change=on_change)
        ]
        done = [each for job in ended_now for each in follow_up(session, job)]
        waiting = [each.job for each in done if each.job is not None]
        replaced = {job.id for job in waiting}
        ended += [job for job in ended_now if job.id not in replaced]
        followed += done
    return ended, followed


def raise_for_state(job: JobObservation) -> None:
    """Nothing for a job that succeeded.

    Raises:
        JobFailed: any other end; carries the reason that the platform and the runner gave.
    """
    if job.state is JobState.SUCCEEDED:
        return
    raise JobFailed(
        f"job {job.name} ended as {job.state}: {job.reason or job.detail or 'no reason was given'}",
        todo=f"`mlinfra job logs {job.native_id}` shows what it printed",
    )


def logs(session: Session, job: JobObservation, *, follow: bool = False) -> Iterator[LogLine]:
    """What the job printed, from the beginning; with `follow` until it has ended."""
    token: str | None = None
    while True:
        ended = observe_job(session, job.native_id).state.terminal if follow else True
        while True:
            reply = read(session, session.adapter.jobs.logs(job, session.environment, token))
            if reply is None:
                break
            page = session.adapter.observe.logs(reply, session.environment)
            yield from page.lines
            if page.token == token:  # a page may be empty and not the last
                break
            token = page.token
        if ended:
            return
        session.clock.sleep(_LOG_PAUSE)


def metrics(session: Session, job: JobObservation) -> tuple[MetricPoint, ...]:
    """Every value that the job logged, in order."""
    replies = read_all(session, session.adapter.runs.metrics(job, session.environment))
    return session.adapter.observe.metrics(replies, session.environment)


def stop(session: Session, job: JobObservation, *, wait_for_end: bool = True) -> JobObservation:
    """Ask a job to stop; one that has ended is left alone. Safe to repeat."""
    if job.state.terminal:
        return job
    effect(session, f"job/{job.id}/{job.attempt}", session.adapter.jobs.stop(job, session.environment))
    audit.record(session, "stop", f"job/{job.id}", name=job.name, attempt=job.attempt)
    job = observe_job(session, job.native_id)
    return wait_for(session, [job], max_runtime=_STOP_DEADLINE)[0] if wait_for_end else job


def delete(session: Session, job: JobObservation) -> None:
    """Remove an ended job and what it left in the store; a registered model keeps its own copy. Safe to repeat.

    Raises:
        Conflict: the job is under way.
    """
    if job.state.live:
        raise Conflict(
            f"job {job.name} is {job.state}", given=job.native_id, todo=f"`mlinfra job stop {job.native_id}` first"
        )
    store = session.store()
    procedure = f"job/{job.id}/{job.attempt}"
    request = session.adapter.jobs.delete(job, session.environment)
    follow_to_end(session, request, effect(session, procedure, request))
    claims.forget(session, procedure, _CREATE)
    if job.id:
        for info in store.list(f"jobs/{job.id}/{job.attempt}/"):
            store.delete(info.key)
    audit.record(session, "delete", f"job/{job.id}", name=job.name, attempt=job.attempt)


def download(session: Session, job: JobObservation, target: Path, *, output: str | None = None) -> list[Path]:
    """Fetch outputs into `target/<output>`, each digest verified, each folder whole or not at all.

    Raises:
        NotFound: the job has no such output, or left nothing.
        IntegrityError: the bytes are not those that the job wrote.
    """
    wanted = {name: artefact for name, artefact in job.outputs.items() if output in {None, name}}
    if output is not None and not wanted:
        raise NotFound("the job has no such output", given=output, allowed=", ".join(job.outputs) or "none")
    noted = _digests(session, job)
    whole = {
        name: replace(artefact, digest=artefact.digest or noted.get(name, "")) for name, artefact in wanted.items()
    }
    return [download_tree(session, artefact, target / name) for name, artefact in whole.items()]


def _digests(session: Session, job: JobObservation) -> dict[str, str]:
    """Output -> digest, as the runner noted it in its report, for a platform that tells none itself."""
    if job.result is None or all(artefact.digest for artefact in job.outputs.values()):
        return {}
    store = session.client.store()
    key = f"{store.key(job.result.uri)}/{REPORT}"
    try:
        report = json.loads(store.get(key))
        return {name: str(content["digest"]) for name, content in report["outputs"].items()}
    except NotFound:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise IntegrityError("the job's report is not readable", given=store.uri(key)) from exc


def _whole(session: Session, job: JobObservation) -> JobObservation:
    """A listing tells little of a failure; the reason is worth a call."""
    return job if job.state is JobState.SUCCEEDED else _explained(session, observe_job(session, job.native_id))


def _explained(session: Session, job: JobObservation) -> JobObservation:
    """With the runner's own reason, where the platform tells no more than that the command failed."""
    if job.state is not JobState.FAILED or job.result is None:
        return job
    store = session.store()
    try:
        text = store.get(f"{store.key(job.result.uri)}/{FAILURE}").decode(errors="replace").strip()
    except NotFound:
        return job
    if text.partition("\n")[0] in job.reason:
        return job
    return replace(job, reason=f"{text}\n{job.reason}".strip())


def _looks_like_id(text: str) -> bool:
    return len(text) >= _SHORTEST_ID and all(letter in "0123456789abcdef" for letter in text)
