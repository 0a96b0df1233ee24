"""`apply`: what files say, in the order in which it depends: models, the jobs that make their versions, endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import needed_by_endpoint, require
from mlinfra.engine import jobs, marks
from mlinfra.engine.deploy import deploy
from mlinfra.engine.prepare import prepare
from mlinfra.engine.sources import read, settle
from mlinfra.engine.submit import submit
from mlinfra.engine.versions import resolve
from mlinfra.engine.watchers import watcher_of
from mlinfra.errors import CapabilityError, NotFound
from mlinfra.spec import warnings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.followups import Followed
    from mlinfra.engine.prepare import Prepared
    from mlinfra.engine.session import Session
    from mlinfra.engine.sources import Sources
    from mlinfra.engine.submit import Submission
    from mlinfra.spec import EndpointSpec

KINDS = ("job", "model", "endpoint")


@dataclass(frozen=True)
class Applied:
    """What came of one spec, in words. `id` is the job's or endpoint's on the platform, empty for a model."""

    kind: str
    name: str
    outcome: str
    id: str = ""


def apply(session: Session, files: Iterable[str | Path]) -> Iterator[Applied]:
    """Do what files say, yielding each spec as it is done. Blocks until all of it is there; safe to repeat.

    Everything is read and checked before anything is sent. An alias that an endpoint asks for and that no version has
    yet goes to the version that a job of these files registered; an alias that is somewhere stays there.

    Raises:
        SpecError, CapabilityError: nothing was sent.
        JobFailed, DeploymentFailed, RolledBack: it went as far as that.
        TemporaryError: run it again; it goes on from where it stands.
    """
    sources = read(files, session.folders)
    _refuse_others(sources)
    endpoints = [settle(spec, session.environment) for spec in sources.endpoints]
    for endpoint in endpoints:
        _check(session, endpoint)
    prepared = _prepare(session, sources)
    for spec in (*(each.spec for each in prepared), *endpoints):
        for warning in warnings(spec):
            session.say(f"warning: {spec.name}: {warning}")
    for name in sources.models:
        yield Applied("model", name, "its schema goes with the jobs that register it")
    submissions = [submit(session, each) for each in prepared]
    registered: dict[str, VersionObservation] = {}
    for each, submission in zip(prepared, submissions, strict=True):
        followed = _end(session, each, submission)
        registered |= {done.version.model: done.version for done in followed if done.version}
        yield _applied_job(each, submission, followed)
    for endpoint in endpoints:
        _give_first_aliases(session, endpoint, registered)
        outcome = deploy(session, endpoint)
        physical = outcome.endpoint.physical_name if outcome.endpoint else ""
        yield Applied("endpoint", endpoint.name, outcome.change.value, physical)


def _refuse_others(sources: Sources) -> None:
    """Kinds are an open registry, and what brings one brings its own way to apply it."""
    strange = next((each.spec for each in sources.all if each.spec.kind not in KINDS), None)
    if strange is not None:
        raise CapabilityError("this kind cannot be applied", given=strange.kind, allowed=", ".join(KINDS))


def _check(session: Session, spec: EndpointSpec) -> None:
    """What `deploy` would refuse, before hours of training rather than after."""
    environment, adapter = session.environment, session.adapter
    require(environment.platform, adapter.capabilities, needed_by_endpoint(spec))
    adapter.config.check_overrides(spec.overrides.get(environment.platform, {}), environment)
    adapter.endpoints.choices(spec, environment)
    watcher_of(spec, environment, adapter.capabilities)


def _prepare(session: Session, sources: Sources) -> list[Prepared]:
    environment, adapter = session.environment, session.adapter
    return [
        prepare(settle(spec, environment), base, environment, adapter, session.folders, models=sources.models)
        for spec, base in sources.jobs
    ]


def _end(session: Session, prepared: Prepared, submission: Submission) -> list[Followed]:
    """Wait for a job and do what is due. The others run meanwhile."""
    name = prepared.spec.name
    session.say(f"{name}: {'reused ' if submission.reused else ''}{submission.job.name}")
    (ended,), followed = jobs.wait(
        session,
        [submission.job],
        max_runtime=float(prepared.spec.resources.max_runtime),
        on_change=lambda job: session.say(f"{'' if job.state.terminal else 'waiting for '}{name}: {job.state}"),
    )
    jobs.raise_for_state(ended)
    return followed


def _applied_job(prepared: Prepared, submission: Submission, followed: list[Followed]) -> Applied:
    words = ["succeeded before" if submission.reused else "succeeded", *(each.outcome for each in followed)]
    return Applied("job", prepared.spec.name, "; ".join(words), submission.job.native_id)


def _give_first_aliases(session: Session, spec: EndpointSpec, registered: Mapping[str, VersionObservation]) -> None:
    for deployment in spec.deployments.values():
        wanted = deployment.model
        if not wanted.alias or wanted.name not in registered:
            continue
        try:
            resolve(session, str(wanted))
        except NotFound:
            session.say(f"no version of {wanted.name} was {wanted.alias} yet")
            marks.alias(session, registered[wanted.name].name, wanted.alias)
