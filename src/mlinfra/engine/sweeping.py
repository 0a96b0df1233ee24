"""Takes away what the kit made in an environment and nobody wants any more: what has outlived its time, or everything.

No cloud ends an endpoint when its time to live is over, and what is forgotten costs money by the hour. Only what bears
the kit's tags is touched, and nothing that a stack owns.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.engine import deletion, endpoint_changes, jobs, rollout_records, versions
from mlinfra.engine.endpoints import list_endpoints
from mlinfra.engine.shaping import look
from mlinfra.errors import MlinfraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.jobs import JobObservation
    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.session import Session

MARK = "mlinfra_"  # how every tag of the kit's own begins
KINDS = ("endpoint", "job", "model")  # in the order in which they go
SHELLS = "shells"  # in an environment's `native`: the endpoints that a stack makes and the kit only fills, by name


@dataclass(frozen=True)
class Due:
    """One thing to take away. `why` is told to people."""

    kind: str  # of KINDS
    name: str
    why: str
    created: datetime | None = None


@dataclass
class Swept:
    """What was taken away, and what could not be with the reason. `due` holds both, and what is only looked at."""

    due: list[Due] = field(default_factory=list)
    deleted: list[Due] = field(default_factory=list)
    failed: list[tuple[Due, MlinfraError]] = field(default_factory=list)


def sweep(
    session: Session, *, older_than: float | None = None, everything: bool = False, look_only: bool = False
) -> Swept:
    """Take away endpoints whose time to live is over, and records of endpoints of which nothing else is left.

    `older_than`, in seconds, adds endpoints made and jobs ended before that; `everything` adds all endpoints, jobs
    (stopped first) and models. With `look_only` nothing is touched. Blocks; safe to repeat. What cannot be deleted
    stops nothing else: it is among `failed`.
    """
    now = session.clock.now()
    before = now - timedelta(seconds=older_than) if older_than is not None else None
    swept = Swept()
    _sweep_endpoints(session, swept, _Bounds(now, before, everything), look_only=look_only)
    if before is not None or everything:
        _sweep_jobs(session, swept, _Bounds(now, before, everything), look_only=look_only)
    if everything:
        _sweep_models(session, swept, look_only=look_only)
    return swept


@dataclass(frozen=True)
class _Bounds:
    now: datetime
    before: datetime | None
    everything: bool

    def over(self, expires: datetime | None, created: datetime | None) -> str:
        """Why something's time is over; empty where it is not."""
        if expires is not None and expires <= self.now:
            return f"its time to live ended at {expires:%Y-%m-%d %H:%M} UTC"
        if self.before is not None and created is not None and created < self.before:
            return f"older than {self.before:%Y-%m-%d %H:%M} UTC"
        return "everything is swept" if self.everything else ""


def _sweep_endpoints(session: Session, swept: Swept, bounds: _Bounds, *, look_only: bool) -> None:
    there, gone = _endpoints(session)
    found = [
        Due("endpoint", each.name, why, each.created)
        for each in there
        if _is_ours(session, each) and (why := bounds.over(each.expires, each.created))
    ]
    found += [Due("endpoint", name, "its record alone is left") for name in gone]
    for due in found:
        with _attempt(session, swept, due, look_only=look_only) as wanted:
            if wanted:
                endpoint_changes.delete(session, due.name)


def _endpoints(session: Session) -> tuple[list[EndpointObservation], list[str]]:
    """What is there, and names of which a record tells alone. Lists lag, so each of those is looked at by its name."""
    there = list(list_endpoints(session))
    known = {each.name for each in there}
    gone = []
    for name in rollout_records.endpoints(session):
        if name not in known:
            found = look(session, session.adapter.endpoints.physical_name(name, session.environment))
            if found is None:
                gone.append(name)
            else:
                there.append(found)
    return there, gone


def _sweep_jobs(session: Session, swept: Swept, bounds: _Bounds, *, look_only: bool) -> None:
    for job in jobs.list_jobs(session):
        why = bounds.over(None, job.ended)
        if not why or not job.id:
            continue
        with _attempt(session, swept, Due("job", job.name, why, job.created), look_only=look_only) as wanted:
            if wanted:
                jobs.delete(session, _stopped(session, job))


def _stopped(session: Session, job: JobObservation) -> JobObservation:
    if not job.state.terminal:
        session.say(f"stopping job {job.name}")
    return jobs.stop(session, job)


def _sweep_models(session: Session, swept: Swept, *, look_only: bool) -> None:
    for version in _versions(session):
        due = Due("model", version.name, "everything is swept", version.created)
        with _attempt(session, swept, due, look_only=look_only) as wanted:
            if wanted:
                deletion.delete(session, version.name, force=True)


def _versions(session: Session) -> Iterable[VersionObservation]:
    names = sorted(versions.models(session))
    return [version for name in names for version in versions.versions(session, name) if version.digest]


@contextmanager
def _attempt(session: Session, swept: Swept, due: Due, *, look_only: bool) -> Iterator[bool]:
    """Note what becomes of one thing. Yields whether it is to be deleted."""
    swept.due.append(due)
    if look_only:
        yield False
        return
    session.say(f"deleting {due.kind} {due.name}: {due.why}")
    try:
        yield True
    except MlinfraError as exc:
        session.say(f"{due.kind} {due.name} stays: {exc}")
        swept.failed.append((due, exc))
    else:
        swept.deleted.append(due)


def _is_ours(session: Session, endpoint: EndpointObservation) -> bool:
    """Whether the kit made it, or what a stack's shell holds; deleting that empties it, and the shell stays."""
    is_filled = endpoint.name in (session.environment.native.get(SHELLS) or {}) and bool(endpoint.deployments)
    return not endpoint.owned_by_stack and (is_filled or any(name.startswith(MARK) for name in endpoint.tags))
