"""Working on an endpoint: alone, with its record open, and with an account of what came of it at the end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mlinfra.engine import audit
from mlinfra.engine.lease import lease
from mlinfra.engine.releases import has_ended
from mlinfra.engine.rollout import Phase, Rollout
from mlinfra.engine.rollout_records import Ledger
from mlinfra.engine.rollout_run import Run
from mlinfra.engine.rollout_watch import how_to_go_on
from mlinfra.engine.shaping import LAG, LOOK, nothing, observe, shape, shares
from mlinfra.errors import Conflict, Denied, DeploymentFailed, NotFound, RolledBack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.contract.endpoints import EndpointDesired, EndpointObservation
    from mlinfra.engine.lease import Lease
    from mlinfra.engine.session import Session
    from mlinfra.spec import EndpointSpec


class Change(StrEnum):
    """What a verb did to an endpoint."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    ADJUSTED = "adjusted"  # traffic, scale or access; no new deployment
    ROLLED_OUT = "rolled out"
    WENT_BACK = "went back"


@dataclass(frozen=True)
class Outcome:
    """An endpoint after a verb. `rollout` is the one that led there; None where none was needed or nothing is left."""

    change: Change
    endpoint: EndpointObservation | None
    rollout: Rollout | None = None
    watched_by: str = ""


@dataclass(frozen=True)
class Work:
    """One process's work on an endpoint, under its lease. `time_limit` in seconds bounds the watching of a rollout."""

    session: Session
    name: str
    held: Lease
    ledger: Ledger
    time_limit: float | None = None

    @property
    def under_way(self) -> Rollout | None:
        """The rollout that stands still since the process that watched it ended."""
        return self.ledger.book.under_way

    def observe(self) -> EndpointObservation | None:
        """The endpoint as the platform tells it now.

        Raises:
            Denied: a stack owns the endpoint with everything in it.
        """
        endpoint = observe(self.session, self.name)
        if endpoint is not None and endpoint.owned_by_stack:
            raise Denied(
                "a stack owns this endpoint whole, its deployments and traffic included",
                given=self.name,
                todo="change it in the stack and run `mlinfra env up`, or deploy under another name",
            )
        return endpoint

    def settled(self) -> EndpointObservation | None:
        """The endpoint as it is once reads have had the time to catch up with what the kit itself did last."""
        book, clock = self.ledger.book, self.session.clock
        while True:
            observed = self.observe()
            if observed is None or book.current is None or book.changed is None or book.under_way:
                return observed
            age = (clock.now() - book.changed).total_seconds()
            if shares(observed) == shares(book.current) or age >= LAG:
                return observed
            clock.sleep(LOOK)
            self.held.renew()

    def existing(self) -> EndpointObservation:
        """The endpoint, which must be there and alive.

        Raises:
            NotFound: it is not, or its time to live has ended.
        """
        endpoint = self.settled()
        if endpoint is not None and has_ended(endpoint, self.session.clock.now()):
            what = f"the endpoint's time to live ended at {endpoint.expires:%Y-%m-%d %H:%M} UTC"
            raise NotFound(what, given=self.name, todo="`mlinfra endpoint deploy` makes it anew")
        if endpoint is None:
            raise NotFound(
                "there is no such endpoint", given=self.name, todo="`mlinfra endpoint list` shows those there are"
            )
        return endpoint

    def living(self, spec: EndpointSpec) -> EndpointObservation | None:
        """The endpoint; one whose time to live has ended is removed first, so that it can be made anew."""
        endpoint = self.settled()
        if endpoint is None or not has_ended(endpoint, self.session.clock.now()):
            return endpoint
        self.session.say(f"the time to live of {self.name} has ended; it is made anew")
        self.audit("delete", cause="its time to live has ended")
        return self.shape(nothing(self.session, spec))

    def shape(self, desired: EndpointDesired) -> EndpointObservation | None:
        """Bring the endpoint to that shape."""
        return shape(self.session, desired, between=self.held.renew)

    def carry(self, rollout: Rollout) -> Rollout:
        """Carry a rollout, new or standing, to its end."""
        return Run(self.session, self.held, self.ledger, time_limit=self.time_limit).to_the_end(rollout)

    def audit(self, verb: str, **details: object) -> None:
        """Write down what is about to be done."""
        audit.record(self.session, verb, f"endpoint/{self.name}", **details)

    def refuse_while_rolling_out(self) -> None:
        """Nothing, unless a rollout stands.

        Raises:
            Conflict: one does.
        """
        if self.under_way:
            raise standing(self.name, self.under_way)


@contextmanager
def at_work(session: Session, name: str, *, time_limit: float | None = None) -> Iterator[Work]:
    """Be the only one at work on an endpoint.

    Raises:
        Conflict: somebody else is; names owner and age.
    """
    with lease(session, f"endpoint-{name}") as held:
        yield Work(session, name, held, Ledger.open(session, name), time_limit)


def standing(name: str, rollout: Rollout) -> Conflict:
    """The refusal to do something else while a rollout stands at a step."""
    return Conflict(
        f"a rollout stands: {rollout.describe()}",
        given=name,
        todo=how_to_go_on(name),
    )


def raise_for_end(name: str, rollout: Rollout) -> None:
    """Nothing for a rollout that was completed.

    Raises:
        RolledBack: figures, or somebody, sent it back.
        DeploymentFailed: the new deployments did not become ready, or failed their probe.
    """
    if rollout.phase is Phase.COMPLETED:
        return
    left = f"{rollout.old.title} serves as before" if rollout.old else "nothing of it is left"
    todo = f"`mlinfra endpoint show {name}` has the figures and the last lines of its log"
    if rollout.phase is Phase.FAILED:
        raise DeploymentFailed(f"{rollout.new.title} was not deployed to {name}: {rollout.cause}; {left}", todo=todo)
    verb = "was aborted" if rollout.phase is Phase.ABORTED else "was rolled back"
    raise RolledBack(
        f"{rollout.new.title} {verb} at {_highest(rollout)} % of {name}: {rollout.cause}; {left}", todo=todo
    )


def _highest(rollout: Rollout) -> int:
    return max(decision.percent for decision in rollout.decisions)
