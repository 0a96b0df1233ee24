"""`endpoint deploy`: from a spec to an endpoint that serves it, step by step where the spec wants that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import Capability, needed_by_endpoint, require
from mlinfra.contract.states import EndpointState, VersionState
from mlinfra.engine.approval import require_approved
from mlinfra.engine.archives import send_archive
from mlinfra.engine.captures import capture_uri
from mlinfra.engine.deployments import Served, policy_of, release_of
from mlinfra.engine.endpoint_work import Change, Outcome, Work, at_work, raise_for_end, standing
from mlinfra.engine.packages import package_of
from mlinfra.engine.releases import failed, serving, sized
from mlinfra.engine.rollout import Phase, Rollout, begin, dropped, send_back
from mlinfra.engine.rollout_rules import Policy
from mlinfra.engine.shaping import desire, is_there, nothing
from mlinfra.engine.versions import resolve
from mlinfra.engine.watchers import watcher_beside, watcher_of
from mlinfra.errors import Conflict

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.engine.releases import Release
    from mlinfra.engine.session import Session
    from mlinfra.engine.watchers import Watcher
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec


def deploy(session: Session, spec: EndpointSpec, *, time_limit: float | None = None) -> Outcome:
    """Make an endpoint serve what its spec says. Blocks until it does, or the old release serves again.

    May be killed anywhere: the endpoint stays as it is at that moment, and the same call goes on from there. An
    endpoint that is as the spec says is left alone. `time_limit` in seconds bounds the watching of a rollout.

    Raises:
        CapabilityError, SpecError, NotFound: it cannot be had as written; nothing was sent.
        Denied: a version lacks approval, or a stack owns the endpoint whole; nothing was sent.
        Conflict: somebody else is at work on it, or another rollout stands.
        DeploymentFailed: new deployments did not become ready or failed their probe; the old ones keep all traffic.
        RolledBack: the figures sent it back.
        TemporaryError: the same call again goes on.
    """
    environment, adapter = session.environment, session.adapter
    spec = spec.for_environment(environment.name, environment.platform)
    require(environment.platform, adapter.capabilities, {**needed_by_endpoint(spec), **_needed_by_shares(spec)})
    adapter.config.check_overrides(spec.overrides.get(environment.platform, {}), environment)
    watcher = watcher_of(spec, environment, adapter.capabilities)
    models = served(session, spec)
    wanted = release_of(spec, models, environment, adapter, capture_uri(session, spec.name))
    with at_work(session, spec.name, time_limit=time_limit) as work:
        if spec.serverless:
            for each in models.values():
                send_archive(session, each.version)
        gone_on_with = _settle_standing(work, wanted, work.living(spec))
        if gone_on_with:
            raise_for_end(spec.name, gone_on_with)
            if gone_on_with.new.spec == wanted.spec:
                change = Change.ROLLED_OUT if gone_on_with.old else Change.CREATED
                return Outcome(change, work.observe(), gone_on_with, str(watcher))
        return _reach(work, wanted, watcher)


def served(session: Session, spec: EndpointSpec) -> dict[str, Served]:
    """What each variant serves.

    Raises:
        NotFound: there is no such version.
        Denied: it lacks the approval that this environment asks for.
        Conflict: it is not ready.
    """
    found = {}
    for variant, deployment in spec.deployments.items():
        version = resolve(session, str(deployment.model))
        if version.state is not VersionState.READY:
            raise Conflict(
                f"{version.name} is {version.state}",
                given=str(deployment.model),
                todo="wait until it is ready, or name another version",
            )
        require_approved(session, version)
        found[variant] = Served(version, package_of(session, version).manifest.as_document())
    return found


def _needed_by_shares(spec: EndpointSpec) -> dict[str, Capability]:
    """Field -> capability, where more than one deployment is to have traffic at once."""
    shared = {"deployments": len(spec.deployments) > 1, "rollout.steps": len(policy_of(spec).steps) > 1}
    return {field: Capability.ENDPOINT_TRAFFIC for field, is_shared in shared.items() if is_shared}


def _settle_standing(work: Work, wanted: Release, observed: EndpointObservation | None) -> Rollout | None:
    """Go on with a rollout that stands, if it leads where we want to go, and return it as it ended.

    One that is on its way back or about to finish is brought to its end first, and so is one that would have been the
    first: nobody is served by it. One whose endpoint is gone has nowhere to lead.
    """
    rollout = work.under_way
    if rollout is None:
        return None
    if rollout.old is not None and observed is None:
        now = work.session.clock.now()
        work.carry(dropped(rollout, "the endpoint was removed meanwhile", now))
        return None
    if rollout.new.traffic == wanted.traffic:
        work.session.say(f"going on with {rollout.describe()}")
        return work.carry(rollout)
    if rollout.old is None:
        now = work.session.clock.now()
        work.carry(send_back(rollout, Phase.ABORTED, f"{wanted.title} takes its place", now))
    elif rollout.phase.back or rollout.phase is Phase.FINISHING:
        work.session.say(f"first to its end: {rollout.describe()}")
        work.carry(rollout)
    else:
        raise standing(work.name, rollout)
    return None


def _reach(work: Work, wanted: Release, watcher: Watcher) -> Outcome:
    session = work.session
    observed = work.settled()
    old = serving(observed, work.ledger.book.known(), wanted.spec)
    unchanged = old is not None and wanted.traffic == old.traffic
    before = observed.expires if observed and unchanged else None
    expires = _expiry(wanted.spec, session.environment, session.clock.now(), before)
    wanted = replace(sized(wanted, old, observed), expires=expires)
    if old is None:
        return _first(work, wanted, observed)
    old = replace(old, expires=expires)  # whatever comes of the rollout, the time to live counts from now
    newcomers = wanted.names - old.names
    if not newcomers:
        return _adjust(work, wanted, old, observed)
    if any(each.name in newcomers for each in failed(observed)):
        session.say("removing what an earlier deploy left behind")
        work.shape(desire(session, old))
    watcher = watcher_beside(watcher, wanted.spec, old)
    session.say(f"rollback watched by: {watcher}")
    policy, who = policy_of(wanted.spec), session.caller.principal
    guarded = watcher.is_platform or wanted.spec.replaced_whole
    rollout = begin(old, wanted, policy, session.clock.now(), who=who, guarded=guarded)
    ended = work.carry(rollout)
    raise_for_end(work.name, ended)
    return Outcome(Change.ROLLED_OUT, work.observe(), ended, str(watcher))


def _first(work: Work, wanted: Release, observed: EndpointObservation | None) -> Outcome:
    """Nothing serves yet: there is no traffic to move, and nothing to go back to."""
    if observed is not None and (failed(observed) or observed.state is EndpointState.FAILED):
        work.session.say("removing what an earlier deploy left behind")
        work.shape(nothing(work.session, wanted.spec))
    rollout = begin(None, wanted, Policy(), work.session.clock.now(), who=work.session.caller.principal)
    ended = work.carry(rollout)
    raise_for_end(work.name, ended)
    return Outcome(Change.CREATED, work.observe(), ended)


def _adjust(work: Work, wanted: Release, old: Release, observed: EndpointObservation | None) -> Outcome:
    """The deployments are there: whatever else differs is set at once."""
    desired = desire(work.session, wanted)
    if wanted.traffic == old.traffic and is_there(work.session, desired, observed):
        work.session.say(f"{work.name} serves {wanted.title} already; nothing to do")
        return Outcome(Change.UNCHANGED, observed)
    work.audit("adjust", release=wanted.title)
    endpoint = work.shape(desired)
    work.ledger.write(work.ledger.book.with_release(wanted, instead_of=old))
    return Outcome(Change.ADJUSTED, endpoint)


def _expiry(spec: EndpointSpec, environment: Environment, now: datetime, before: datetime | None) -> datetime | None:
    """When the endpoint ends. An unchanged one keeps its end while more than half of its time is left."""
    lifetime = spec.time_to_live(environment.stage)
    if spec.ttl is None and environment.lifetimes.endpoint:
        seconds: float | None = environment.lifetimes.endpoint
    else:
        seconds = None if lifetime is None else float(lifetime)
    if seconds is None:
        return None
    whole = timedelta(seconds=seconds)
    if before is not None and whole / 2 < before - now <= whole:
        return before
    return now + whole
