"""Carrying a rollout to its end: obeys the controller, tells it what happened, keeps the record.

Every change of the record is written before it is acted upon, so a run that ends anywhere is gone on with by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.engine import audit
from mlinfra.engine import rollout as controller
from mlinfra.engine.endpoint_logs import last_words
from mlinfra.engine.probe import probe
from mlinfra.engine.rollout import Phase, Rollout
from mlinfra.engine.rollout_records import stop_asked_by
from mlinfra.engine.rollout_watch import Watch, how_to_go_on, present
from mlinfra.engine.shaping import DEADLINE, desire, nothing, shape
from mlinfra.engine.watchers import guard_of
from mlinfra.errors import DeploymentFailed, Unavailable

if TYPE_CHECKING:
    from mlinfra.engine.lease import Lease
    from mlinfra.engine.rollout_records import Ledger
    from mlinfra.engine.session import Session

READY_WITHIN = 3600.0  # seconds for new deployments to become ready: the longest start that a platform allows

_AUDITED = {
    Phase.SHIFTING: "traffic",
    Phase.RETREATING: "send back",
    Phase.CLEANING: "remove",
    Phase.FINISHING: "finish",
    Phase.COMPLETED: "complete",
    Phase.ROLLED_BACK: "rolled back",
    Phase.FAILED: "failed",
    Phase.ABORTED: "aborted",
}


class _StopAsked(Exception):
    """Somebody wants this rollout to go back; the argument is who."""


class Run:
    """One process's work on a rollout, under the endpoint's lease. `time_limit` in seconds bounds the watching."""

    def __init__(self, session: Session, held: Lease, ledger: Ledger, *, time_limit: float | None = None) -> None:
        self._session = session
        self._held = held
        self._ledger = ledger
        self._name = ledger.endpoint
        self._watch = Watch(session, ledger.endpoint)
        self._ends = None if time_limit is None else session.clock.monotonic() + time_limit

    def to_the_end(self, rollout: Rollout) -> Rollout:
        """Carry a rollout, new or standing, to its end. Safe to kill anywhere and to call again.

        Raises:
            Conflict: the lease was lost, or somebody else changed the endpoint; everything stays as it is.
            DeploymentFailed: the platform could not even go back, or not remove what is no longer needed.
            TemporaryError: run again later; it goes on from where it stands.
        """
        if rollout != self._ledger.book.rollout:
            self._keep(rollout)
        try:
            while not rollout.phase.over:
                rollout = self._step(rollout)
        except KeyboardInterrupt:
            self._session.say(f"interrupted: {rollout.describe()}; {how_to_go_on(self._name)}")
            raise
        return rollout

    def _step(self, rollout: Rollout) -> Rollout:
        act = {Phase.PROBING: self._probe, Phase.BAKING: self._bake}.get(rollout.phase, self._shape)
        try:
            after = act(rollout)
        except _StopAsked as asked:
            after = controller.send_back(rollout, Phase.ABORTED, f"{asked} asked for it", self._session.clock.now())
        if after is not rollout:
            self._keep(after)
        return after

    def _shape(self, rollout: Rollout) -> Rollout:
        session, policy = self._session, rollout.policy
        release = controller.goal(rollout)
        watched = rollout.phase is Phase.GUARDED and not rollout.whole
        guard = guard_of(policy, rollout.new.spec, session.environment) if watched else None
        guarded = len(policy.steps) * policy.bake if guard else 0.0
        try:
            shape(
                session,
                desire(session, release, guard=guard) if release else nothing(session, rollout.new.spec),
                between=lambda: self._between(rollout),
                give_up_after=READY_WITHIN if rollout.phase is Phase.PREPARING else None,
                deadline=DEADLINE + guarded,
            )
        except DeploymentFailed as exc:
            if rollout.phase in (Phase.FINISHING, Phase.CLEANING):
                raise
            return self._gave_up(rollout, exc)
        return controller.arrived(rollout, session.clock.now())

    def _probe(self, rollout: Rollout) -> Rollout:
        session = self._session
        self._between(rollout)
        endpoint = present(session, self._name)
        newcomers = [each for each in rollout.new.deployments if each.name in rollout.newcomers]
        try:
            answers = [probe(session, endpoint, each) for each in newcomers]
        except DeploymentFailed as exc:
            return self._gave_up(rollout, exc)
        return controller.probed(rollout, session.clock.now(), "; ".join(answers))

    def _gave_up(self, rollout: Rollout, exc: DeploymentFailed) -> Rollout:
        log = last_words(self._session, self._name, rollout.newcomers)
        return controller.gave_up(rollout, str(exc), self._session.clock.now(), log)

    def _bake(self, rollout: Rollout) -> Rollout:
        self._between(rollout)
        after = self._watch.look(rollout)
        if after.phase is Phase.BAKING:
            if self._ends is not None and self._session.clock.monotonic() >= self._ends:
                what = f"the time for watching is over: {after.describe()}"
                raise Unavailable(what, todo=how_to_go_on(self._name))
            self._session.clock.sleep(self._watch.pause(after))
        return after

    def _between(self, rollout: Rollout) -> None:
        """What is due between two looks: the lease, and whether somebody wants this to stop."""
        self._held.renew()
        if rollout.phase.back or rollout.phase is Phase.FINISHING:
            return
        who = stop_asked_by(self._session, self._name, rollout)
        if who:
            raise _StopAsked(who)

    def _keep(self, rollout: Rollout) -> None:
        """Tell people and the log, then write the record: told twice after a kill in between, but never not at all."""
        book = self._ledger.book
        before = book.rollout if book.rollout and book.rollout.begun == rollout.begun else None
        for decision in rollout.decisions[len(before.decisions) if before else 0 :]:
            self._session.say(f"{decision.percent:3} %  {decision.verb}{': ' * bool(decision.reason)}{decision.reason}")
        verb = _AUDITED.get(rollout.phase)
        if before is None:
            verb = "roll back" if rollout.reverses else "deploy"
        if verb and (before is None or before.phase is not rollout.phase):
            details = {"percent": rollout.percent, "release": rollout.new.title, "cause": rollout.cause}
            audit.record(self._session, verb, f"endpoint/{self._name}", **details)
        self._ledger.write(book.with_rollout(rollout))
