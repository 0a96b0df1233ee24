"""Following jobs by paced lists: one listing an interval for all of them together, never one call a job."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import JobQuery
from mlinfra.contract.states import JobState
from mlinfra.engine.effects import effect, read
from mlinfra.errors import KitFault, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.engine.session import Session

FIRST_INTERVAL = 0.25  # seconds; grows by half each time, since short jobs are asked about soon
LONGEST_INTERVAL = 10.0
LISTS_LAG = timedelta(seconds=60)  # how far back an incremental listing overlaps
UNKNOWN_GRACE = 600.0  # seconds beyond max_runtime for which an unknown state is believed to be under way


def find_jobs(session: Session, query: JobQuery) -> Iterator[JobObservation]:
    """The jobs that carry the kit's tag and fit the query, page by page.

    Raises:
        KitFault: the platform hands out the same page again and again.
    """
    token: str | None = None
    seen: set[str] = set()
    while True:
        reply = read(session, session.adapter.jobs.find(query, session.environment, token))
        if reply is None:
            return
        page = session.adapter.observe.jobs(reply, session.environment)
        yield from page.jobs
        token = page.token
        if token is None:
            return
        if token in seen:
            raise KitFault(f"{session.environment.platform} lists jobs in a circle: page {token!r} came twice")
        seen.add(token)


def attempts(session: Session, work_id: str) -> list[JobObservation]:
    """All attempts at one piece of work, the first first.

    Should two live jobs ever carry the same attempt, the younger is stopped and said so.
    """
    found = sorted(find_jobs(session, JobQuery(id=work_id)), key=lambda job: (job.attempt, _created(job)))
    kept: list[JobObservation] = []
    for job in found:
        twin = next((other for other in kept if other.attempt == job.attempt and other.state.live), None)
        if twin is not None and job.state.live:
            session.say(f"{job.name} doubles {twin.name}; stopping the younger")
            effect(session, f"job/{work_id}/{job.attempt}", session.adapter.jobs.stop(job, session.environment))
        else:
            kept.append(job)
    return kept


def observe_job(session: Session, native_id: str) -> JobObservation:
    """One job as it stands.

    Raises:
        NotFound: there is no such job.
    """
    reply = read(session, session.adapter.jobs.describe(native_id, session.environment))
    if reply is None:
        raise NotFound("there is no such job", given=native_id, todo="`mlinfra job list` shows those there are")
    return session.adapter.observe.job(reply, session.environment)


def wait_for(
    session: Session,
    jobs: Iterable[JobObservation],
    *,
    max_runtime: float,
    on_change: Callable[[JobObservation], None] = lambda _: None,
) -> list[JobObservation]:
    """Wait until every job has ended; returns them as they ended, in the order given.

    `on_change` is told of every new state. Being killed changes nothing for the jobs.

    Raises:
        Unavailable: a job was in a state that the kit does not know for longer than `max_runtime` and a grace.
    """
    known = {job.native_id: job for job in jobs}
    order = list(known)
    for job in known.values():
        on_change(job)
    interval = FIRST_INTERVAL
    ends = session.clock.monotonic() + max_runtime + UNKNOWN_GRACE
    since = session.clock.now() - LISTS_LAG
    while live := [job for job in known.values() if not job.state.terminal]:
        if session.clock.monotonic() > ends and any(job.state is JobState.UNKNOWN for job in live):
            raise Unavailable("a job is in a state that the kit does not know", given=live[0].detail)
        session.clock.sleep(interval)
        interval = min(LONGEST_INTERVAL, interval * 1.5)
        asked_at = session.clock.now()
        for job in _news(session, live, since):
            if job.native_id in known and known[job.native_id].state is not job.state:
                on_change(job)
            if job.native_id in known:
                known[job.native_id] = job
        since = asked_at - LISTS_LAG
    return [known[native_id] for native_id in order]


def _news(session: Session, live: list[JobObservation], since: datetime) -> Iterator[JobObservation]:
    if len(live) == 1:
        yield observe_job(session, live[0].native_id)
    else:
        created = [job.created for job in live]
        oldest = min((each for each in created if each is not None), default=None) if all(created) else None
        yield from find_jobs(session, JobQuery(updated_after=since, created_after=oldest))


def _created(job: JobObservation) -> float:
    return job.created.timestamp() if job.created else 0.0
