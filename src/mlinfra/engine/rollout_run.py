"""Carrying a rollout to its end: obeys the controller, tells it what happened, keeps the record.

Every change of the record is written before it is acted upon, so a run that ends anywhere is gone on with by the next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.contract.states import EndpointState
from mlinfra.engine import audit, rollout as controller
from mlinfra.engine.endpoint_logs import tail
from mlinfra.engine.health import Watch, as_document
from mlinfra.engine.patience import patiently
from mlinfra.engine.probe import probe
from mlinfra.engine.rollout import Phase, Rollout
from mlinfra.engine.rollout_rules import Course, has_baked, judge
from mlinfra.engine.shaping import DEADLINE, LONGEST_PAUSE, desire, nothing, observe, shape
from mlinfra.engine.rollout_records import stop_asked_by
from mlinfra.engine.traffic import WHOLE, tell
from mlinfra.errors import Conflict, DeploymentFailed, TemporaryError, Unavailable

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document
    from mlinfra.engine.lease import Lease
    from mlinfra.engine.rollout_records import Ledger
    from mlinfra.engine.rollout_rules import Sample
    from mlinfra.engine.session import Session

READY_WITHIN = 3600.0  # seconds for new deployments to become ready: the longest start that a platform allows
BLIND_LOOKS = 5  # looks in a row without an answer, each of them retried, before the watch is given up
_LOOKS_A_PERIOD = 4  # so that a figure is seen soon after it shows
_SHORTEST_PAUSE = 0.2  # seconds
_LOG_LINES = 20

_DOING = {Course.BAKE: "baking", Course.HOLD: "holding"}
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
        self._ends = None if time_limit is None else session.clock.monotonic() + time_limit
        self._said = ""
        self._blind = 0
        self._disturbed = False
        self._watch: Watch | None = None

    def start(self, rollout: Rollout) -> Rollout:
        """Write a new rollout down and carry it to its end."""
        self._keep(rollout)
        return self.go_on(rollout)

    def go_on(self, rollout: Rollout) -> Rollout:
        """Carry a rollout to its end.

        Raises:
            Conflict: the lease was lost, or somebody else changed the endpoint; everything stays as it is.
            DeploymentFailed: the platform could not even go back, or not remove what is no longer needed.
            TemporaryError: run again later; it goes on from where it stands.
        """
        try:
            while not rollout.phase.over:
                rollout = self._one_step(rollout)
        except KeyboardInterrupt:
            self._session.say(f"interrupted: {self._current.describe()}; {how_to_go_on(self._ledger.endpoint)}")
            raise
        return rollout

    @property
    def _current(self) -> Rollout:
        rollout = self._ledger.book.rollout
        assert rollout is not None  # noqa: S101  a run begins with a rollout in the book
        return rollout

    def _one_step(self, rollout: Rollout) -> Rollout:
        act = {Phase.PROBING: self._probe, Phase.BAKING: self._bake}.get(rollout.phase, self._shape)
        try:
            after = act(rollout)
        except _StopAsked as asked:
            after = controller.send_back(rollout, Phase.ABORTED, f"{asked} asked for it", self._session.clock.now())
        if after is not rollout:
            self._keep(after)
        return after

    def _shape(self, rollout: Rollout) -> Rollout:
        session = self._session
        release = controller.goal(rollout)
        desired = desire(session, release) if release else nothing(session, rollout.new.spec)
        guarded = len(rollout.policy.steps) * rollout.policy.bake if rollout.phase is Phase.GUARDED else 0.0
        try:
            shape(
                session,
                desired,
                between=lambda: self._between(rollout),
                give_up_after=READY_WITHIN if rollout.phase is Phase.PREPARING else None,
                deadline=DEADLINE + guarded,
            )
        except DeploymentFailed as exc:
            if rollout.phase in (Phase.FINISHING, Phase.CLEANING):
                raise
            return controller.gave_up(rollout, exc.what, session.clock.now(), self._last_words(rollout))
        return controller.arrived(rollout, session.clock.now())

    def _probe(self, rollout: Rollout) -> Rollout:
        session = self._session
        self._between(rollout)
        endpoint = self._look(rollout)
        try:
            answers = [
                probe(session, endpoint, each) for each in rollout.new.deployments if each.name in rollout.newcomers
            ]
        except DeploymentFailed as exc:
            return controller.gave_up(rollout, str(exc), session.clock.now(), self._last_words(rollout))
        for answer in answers:
            session.say(answer)
        return controller.probed(rollout, session.clock.now(), "; ".join(answers))

    def _bake(self, rollout: Rollout) -> Rollout:
        self._between(rollout)
        try:
            after = self._judge(rollout)
            self._blind = 0
        except TemporaryError as exc:
            self._blind += 1
            if self._blind >= BLIND_LOOKS:
                raise
            self._session.say(f"no figures for now: {exc.what}")
            after = rollout
        if after.phase is Phase.BAKING:
            self._check_time(after)
            self._pause(after)
        return after

    def _judge(self, rollout: Rollout) -> Rollout:
        session, policy = self._session, rollout.policy
        endpoint = self._look(rollout)
        for name in rollout.newcomers:
            deployment = endpoint.deployment(name)
            if deployment and deployment.state is EndpointState.FAILED:
                cause = f"{name} failed: {deployment.reason or deployment.detail}"
                return controller.send_back(
                    rollout, Phase.FAILED, cause, session.clock.now(), self._last_words(rollout)
                )
        if not self._undisturbed(rollout, endpoint):
            return rollout
        samples = self._samples(rollout, endpoint) if policy.needs_data else {}
        renderer, now = session.adapter.endpoints, session.clock.now()
        baked = has_baked(
            policy, samples, rollout.since, now, period=renderer.METRIC_PERIOD, delay=renderer.METRIC_DELAY
        )
        verdict = judge(policy, samples, baked=baked, last=rollout.percent == WHOLE)
        if verdict.reason and verdict.course in (Course.BAKE, Course.HOLD):
            self._say(f"{rollout.percent:3} %  {_DOING[verdict.course]}: {verdict.reason}")
        return controller.measured(rollout, verdict, _figures(samples), now)

    def _samples(self, rollout: Rollout, endpoint: EndpointObservation) -> dict[str, Sample]:
        if self._watch is None:
            self._watch = Watch(self._session, rollout.policy.enough)
        return self._watch.look(endpoint, rollout.newcomers, rollout.since)

    def _look(self, rollout: Rollout) -> EndpointObservation:
        endpoint = observe(self._session, self._ledger.endpoint)
        if endpoint is None:
            raise Conflict(
                "the endpoint is gone: somebody else removed it",
                given=self._ledger.endpoint,
                todo=f"`mlinfra endpoint delete {self._ledger.endpoint}` forgets its rollout; then deploy again",
            )
        return endpoint

    def _undisturbed(self, rollout: Rollout, endpoint: EndpointObservation) -> bool:
        """Whether traffic is as the step wants it. One look that says otherwise may be a read that lags."""
        release = controller.goal(rollout)
        wanted = {name: share for name, share in (release.traffic if release else {}).items() if share}
        shown = {name: share for name, share in endpoint.traffic.items() if share}
        if wanted == shown:
            self._disturbed = False
            return True
        if self._disturbed:
            raise Conflict(
                f"somebody else changed the traffic: {tell(shown)}",
                given=self._ledger.endpoint,
                allowed=f"{tell(wanted)} at this step",
                todo=how_to_go_on(self._ledger.endpoint),
            )
        self._disturbed = True
        return False

    def _between(self, rollout: Rollout) -> None:
        """What is due between two looks: the lease, and whether somebody wants this to stop."""
        patiently(self._session, self._held.renew)
        if rollout.phase.back or rollout.phase is Phase.FINISHING:
            return
        who = patiently(
            self._session, "the record", lambda: stop_asked_by(self._session, self._ledger.endpoint, rollout)
        )
        if who:
            raise _StopAsked(who)

    def _pause(self, rollout: Rollout) -> None:
        """Sleep until the next look is worth its call; one that needs no figures waits for the end of the bake."""
        clock, policy = self._session.clock, rollout.policy
        period = self._session.adapter.endpoints.METRIC_PERIOD
        pause = max(_SHORTEST_PAUSE, period / _LOOKS_A_PERIOD)
        if not policy.needs_data:
            pause = policy.bake - (clock.now() - rollout.since).total_seconds()
        clock.sleep(min(LONGEST_PAUSE, max(_SHORTEST_PAUSE, pause)))

    def _check_time(self, rollout: Rollout) -> None:
        if self._ends is not None and self._session.clock.monotonic() >= self._ends:
            raise Unavailable(
                f"the time for watching is over: {rollout.describe()}", todo=how_to_go_on(self._ledger.endpoint)
            )

    def _last_words(self, rollout: Rollout) -> Document:
        """The end of the newcomers' logs, which go with them."""
        lines = tail(self._session, self._ledger.endpoint, rollout.newcomers, _LOG_LINES)
        for line in lines:
            self._session.say(f"  {line}")
        return {"log": lines} if lines else {}

    def _keep(self, rollout: Rollout) -> None:
        """Tell people and the log, then write the record: told twice after a kill in between, but never not at all."""
        book = self._ledger.book
        before = book.rollout if book.rollout and book.rollout.begun == rollout.begun else None
        for decision in rollout.decisions[len(before.decisions) if before else 0 :]:
            self._session.say(
                f"{decision.percent:3} %  {decision.verb}{': ' if decision.reason else ''}{decision.reason}"
            )
        if before is None or before.phase is not rollout.phase:
            self._audit(rollout, new=before is None)
        self._ledger.write(book.with_rollout(rollout))

    def _audit(self, rollout: Rollout, *, new: bool) -> None:
        verb = ("roll back" if rollout.reverses else "deploy") if new else _AUDITED.get(rollout.phase)
        if verb is None:
            return
        details = {"percent": rollout.percent, "release": rollout.new.title, "cause": rollout.cause}
        subject = f"endpoint/{self._ledger.endpoint}"
        patiently(self._session, lambda: audit.record(self._session, verb, subject, **details))

    def _say(self, text: str) -> None:
        if text != self._said:
            self._session.say(text)
            self._said = text


def how_to_go_on(endpoint: str) -> str:
    """What to do about a rollout that stands still."""
    return f"`mlinfra endpoint rollout resume {endpoint}` goes on, `… abort {endpoint}` goes back"


def _figures(samples: dict[str, Sample]) -> Document:
    return {
        name: as_document(sample.total) | ({"latest": as_document(sample.latest)} if sample.latest else {})
        for name, sample in samples.items()
    }
