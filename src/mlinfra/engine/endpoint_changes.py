"""The verbs that change an endpoint without a spec: rollback, traffic, delete, and what to do about a rollout."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlinfra.engine.asynchronous import remove_left
from mlinfra.engine.endpoint_work import Change, Outcome, Work, at_work, raise_for_end, standing
from mlinfra.engine.endpoints import name_of
from mlinfra.engine.releases import serving, sized, version_of
from mlinfra.engine.rollout import Phase, Rollout, begin, send_back
from mlinfra.engine.rollout_records import Ledger, ask_to_stop
from mlinfra.engine.rollout_rules import Policy
from mlinfra.engine.shaping import desire, nothing
from mlinfra.engine.traffic import check
from mlinfra.errors import Conflict, NotFound, UsageError
from mlinfra.spec import EndpointSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.engine.releases import Release
    from mlinfra.engine.session import Session


@dataclass(frozen=True)
class Asked:
    """A rollout that another process watches and was asked to abort; it does so at its next look."""

    rollout: Rollout
    watched_by: str


def resume(session: Session, reference: str, *, time_limit: float | None = None) -> Outcome:
    """Go on with the rollout that stands. Blocks as `deploy` does.

    Raises:
        NotFound: none stands.
        Conflict: another process is at work on it.
        RolledBack, DeploymentFailed: as `deploy`.
    """
    name = name_of(session, reference)
    with at_work(session, name, time_limit=time_limit) as work:
        rollout = _standing(work)
        work.existing() if rollout.old else work.observe()
        ended = work.carry(rollout)
        raise_for_end(name, ended)
        return Outcome(Change.ROLLED_OUT if ended.old else Change.CREATED, work.observe(), ended)


def abort(session: Session, reference: str) -> Outcome | Asked:
    """Send the rollout back that stands; one that another process watches is asked to go back by itself.

    Raises:
        NotFound: none stands.
        Conflict: it has passed its last step; `rollback` is what undoes it.
        DeploymentFailed: the platform cannot go back.
    """
    name = name_of(session, reference)
    with ExitStack() as stack:
        try:
            work = stack.enter_context(at_work(session, name))
        except Conflict as exc:
            return _ask_for_abort(session, name, exc)
        return _send_back(work, _standing(work))


def rollback(session: Session, reference: str, to: str | None = None) -> Outcome:
    """Back to the good release before this one, or to the one that `to` names. A rollout that stands is aborted.

    Its deployments are made ready and probed before they get all traffic at once. It has served here, so nobody is
    asked for approval again. `to` is a version (`3`, `credit-risk:3`) or a deployment's name; with it the call is safe
    to repeat. A rollback that was interrupted is gone on with.

    Raises:
        NotFound: there is no such release on record.
        Conflict: somebody else is at work on the endpoint.
        DeploymentFailed: it does not become ready any more; what served goes on.
    """
    name = name_of(session, reference)
    with at_work(session, name) as work:
        observed = work.existing()
        rollout = work.under_way
        if rollout is None:
            book = work.ledger.book
            if to is not None and book.current is not None and _is_named(book.current, to):
                session.say(f"{name} serves {book.current.title} already; nothing to do")
                return Outcome(Change.UNCHANGED, observed)
            goal = _choose(book.previous, to, name)
            old = serving(observed, book.known(), goal.spec)
            goal = replace(sized(goal, old, observed), expires=observed.expires)
            who = session.caller.principal
            now, whole = session.clock.now(), goal.spec.replaced_whole
            rollout = begin(old, goal, Policy(), now, who=who, reverses=True, guarded=whole)
        elif not rollout.reverses and to is None:
            return _send_back(work, rollout)
        elif not rollout.reverses or not (to is None or _is_named(rollout.new, to)):
            raise standing(name, rollout)
        ended = work.carry(rollout)
        raise_for_end(name, ended)
        return Outcome(Change.WENT_BACK, work.observe(), ended)


def traffic(session: Session, reference: str, split: Mapping[str, int]) -> Outcome:
    """Set the shares of the deployments that are there, by deployment or variant name; those not named get none.

    Raises:
        UsageError: no whole percents that sum to 100, or a name that fits no deployment or several.
        NotFound: there is no such endpoint.
        Conflict: a rollout stands, or somebody else is at work on the endpoint.
    """
    name = name_of(session, reference)
    shares = check(split)
    with at_work(session, name) as work:
        observed = work.existing()
        work.refuse_while_rolling_out()
        book = work.ledger.book
        now = serving(observed, book.known(), _stand_in(name))
        if now is None:
            raise NotFound("nothing serves behind this endpoint", given=name, todo="`mlinfra endpoint deploy` first")
        wanted = now.with_traffic(_by_deployment(now, shares))
        if wanted.traffic == now.traffic:
            return Outcome(Change.UNCHANGED, observed)
        work.audit("traffic", shares=wanted.traffic)
        endpoint = work.shape(desire(session, wanted))
        if book.current:
            work.ledger.write(book.with_release(wanted, instead_of=None))
        return Outcome(Change.ADJUSTED, endpoint)


def delete(session: Session, reference: str) -> bool:
    """Remove an endpoint with everything behind it, and its record. Safe to repeat; False where nothing was there.

    Raises:
        Denied: a stack owns it whole.
        Conflict: somebody else is at work on it.
        DeploymentFailed: the platform cannot remove it.
    """
    name = name_of(session, reference)
    with at_work(session, name) as work:
        observed = work.observe()
        if observed is not None:
            work.audit("delete", deployments=sorted(observed.traffic))
            work.shape(nothing(session, _last_spec(work, name)))
        if _last_spec(work, name).asynchronous or (observed and observed.asynchronous):
            remove_left(session, name)
        known = work.ledger.etag is not None
        work.ledger.remove()
        return observed is not None or known


def _standing(work: Work) -> Rollout:
    if work.under_way is None:
        raise NotFound(
            "no rollout stands", given=work.name, todo=f"`mlinfra endpoint show {work.name}` tells what serves"
        )
    return work.under_way


def _send_back(work: Work, rollout: Rollout) -> Outcome:
    if rollout.phase is Phase.FINISHING:
        todo = f"`mlinfra endpoint rollout resume {work.name}`, then `mlinfra endpoint rollback {work.name}`"
        raise Conflict("this rollout has passed its last step", given=work.name, todo=todo)
    session = work.session
    cause = f"{session.caller.principal} asked for it"
    ended = work.carry(send_back(rollout, Phase.ABORTED, cause, session.clock.now()))
    return Outcome(Change.WENT_BACK, work.observe(), ended)


def _ask_for_abort(session: Session, name: str, held: Conflict) -> Asked:
    rollout = Ledger.open(session, name).book.under_way
    if rollout is None or rollout.phase.back or rollout.phase is Phase.FINISHING:
        raise held
    ask_to_stop(session, name, rollout)
    return Asked(rollout, held.what)


def _choose(previous: tuple[Release, ...], to: str | None, name: str) -> Release:
    if to is None and previous:
        return previous[-1]
    found = [release for release in previous if to is not None and _is_named(release, to)]
    if not found:
        there = ", ".join(release.title for release in reversed(previous)) or "none is recorded"
        raise NotFound(
            f"no earlier release of {name} to go back to", given=to or name, allowed=there, todo="deploy it by its spec"
        )
    return found[-1]


def _is_named(release: Release, to: str) -> bool:
    return any(to in (each.version, version_of(each), each.name) for each in release.deployments)


def _by_deployment(release: Release, shares: Mapping[str, int]) -> dict[str, int]:
    """Shares by deployment, from shares by deployment or variant."""
    found: dict[str, int] = {}
    for name, share in shares.items():
        fitting = [each.name for each in release.deployments if name in (each.name, each.variant)]
        if len(fitting) != 1 or fitting[0] in found:
            there = ", ".join(f"{each.name} (variant {each.variant})" for each in release.deployments)
            what = "several deployments fit this name" if fitting else "no deployment has this name"
            raise UsageError(what, given=name, allowed=there)
        found[fitting[0]] = share
    return found


def _last_spec(work: Work, name: str) -> EndpointSpec:
    book = work.ledger.book
    known = book.current or (book.rollout.new if book.rollout else None)
    return known.spec if known else _stand_in(name)


def _stand_in(name: str) -> EndpointSpec:
    """A spec for an endpoint of which nothing is recorded: its name is all that taking it down needs."""
    return EndpointSpec.from_document({"name": name, "model": "unknown:1"})
