"""Watching one step of a rollout while it bakes: figures in from the platform, the controller's next state out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.contract.states import EndpointState
from mlinfra.engine.endpoint_logs import last_words
from mlinfra.engine.health import Window, as_document
from mlinfra.engine.rollout import Phase, Rollout, goal, measured, send_back
from mlinfra.engine.rollout_rules import Course, has_baked, judge
from mlinfra.engine.shaping import LAG, LONGEST_PAUSE, observe, shares
from mlinfra.engine.traffic import WHOLE, tell
from mlinfra.errors import Conflict, TemporaryError

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document
    from mlinfra.engine.rollout_rules import Sample
    from mlinfra.engine.session import Session

BLIND_LOOKS = 5  # looks in a row without an answer, each of them retried, before the watch is given up
LOOKS_A_PERIOD = 4  # so that a figure is seen soon after it shows
SHORTEST_PAUSE = 0.2  # seconds

_DOING = {Course.BAKE: "baking", Course.HOLD: "holding"}


@dataclass
class Watch:
    """The eyes of one process on one endpoint."""

    session: Session
    endpoint: str
    _said: str = ""
    _blind: int = 0
    _strange_since: float | None = None
    _windows: dict[str, Window] = field(default_factory=dict)

    def look(self, rollout: Rollout) -> Rollout:
        """What a baking rollout becomes after a look; the same where there is nothing to decide yet.

        Raises:
            Conflict: somebody else removed the endpoint or changed its traffic.
            TemporaryError: the platform has not answered for too many looks.
        """
        try:
            after = self._judged(rollout)
        except TemporaryError as exc:
            self._blind += 1
            if self._blind >= BLIND_LOOKS:
                raise
            self.session.say(f"no figures for now: {exc.what}")
            return rollout
        self._blind = 0
        return after

    def pause(self, rollout: Rollout) -> float:
        """Seconds until the next look is worth its call; one that needs no figures waits for the end of the bake."""
        pause = self.session.adapter.endpoints.METRIC_PERIOD / LOOKS_A_PERIOD
        if not rollout.policy.needs_data:
            pause = rollout.policy.bake - (self.session.clock.now() - rollout.since).total_seconds()
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, pause))

    def _judged(self, rollout: Rollout) -> Rollout:
        session, policy = self.session, rollout.policy
        endpoint = present(session, self.endpoint)
        failure = _failure(rollout, endpoint)
        if failure:
            figures = last_words(session, self.endpoint, rollout.newcomers)
            return send_back(rollout, Phase.FAILED, failure, session.clock.now(), figures)
        settled = self._is_settled(rollout, endpoint)
        samples = self._samples(rollout, endpoint) if policy.needs_data else {}
        renderer, now = session.adapter.endpoints, session.clock.now()
        period, delay = renderer.METRIC_PERIOD, renderer.METRIC_DELAY
        baked = settled and has_baked(policy, samples, rollout.since, now, period=period, delay=delay)
        verdict = judge(policy, samples, baked=baked, last=rollout.percent == WHOLE)
        if verdict.course in _DOING and verdict.reason:
            self._say(f"{rollout.percent:3} %  {_DOING[verdict.course]}: {verdict.reason}")
        return measured(rollout, verdict, _figures(samples), now)

    def _samples(self, rollout: Rollout, endpoint: EndpointObservation) -> dict[str, Sample]:
        for name in rollout.newcomers:
            if name not in self._windows or self._windows[name].since != rollout.since:
                self._windows[name] = Window(self.session, name, rollout.since, rollout.policy.enough)
        return {name: self._windows[name].look(endpoint) for name in rollout.newcomers}

    def _is_settled(self, rollout: Rollout, endpoint: EndpointObservation) -> bool:
        """Whether traffic is as the step wants it. A look that says otherwise may lag; for so long it is no news."""
        now = self.session.clock.monotonic()
        wanted, shown = shares(goal(rollout)), shares(endpoint)
        if wanted == shown:
            self._strange_since = None
        elif self._strange_since is None:
            self._strange_since = now
        elif now - self._strange_since > LAG:
            raise Conflict(
                f"somebody else changed the traffic: {tell(shown)}",
                given=self.endpoint,
                allowed=f"{tell(wanted)} at this step",
                todo=how_to_go_on(self.endpoint),
            )
        return self._strange_since is None

    def _say(self, text: str) -> None:
        if text != self._said:
            self.session.say(text)
            self._said = text


def present(session: Session, name: str) -> EndpointObservation:
    """The endpoint of a rollout.

    Raises:
        Conflict: it is gone.
    """
    endpoint = observe(session, name)
    if endpoint is None:
        raise Conflict(
            "the endpoint is gone: somebody else removed it",
            given=name,
            todo=f"`mlinfra endpoint delete {name}` forgets its rollout; then deploy again",
        )
    return endpoint


def how_to_go_on(endpoint: str) -> str:
    """What to do about a rollout that stands still."""
    rollout = "mlinfra endpoint rollout"
    return f"`{rollout} resume {endpoint}` goes on, `{rollout} abort {endpoint}` goes back"


def _failure(rollout: Rollout, endpoint: EndpointObservation) -> str:
    """What became of a newcomer that is not well; empty while all are."""
    for name in rollout.newcomers:
        deployment = endpoint.deployment(name)
        if deployment is not None and deployment.state is EndpointState.FAILED:
            return f"{name} failed: {deployment.reason or deployment.detail or 'the platform gives no reason'}"
    return ""


def _figures(samples: dict[str, Sample]) -> Document:
    return {
        name: as_document(sample.total) | ({"latest": as_document(sample.latest)} if sample.latest else {})
        for name, sample in samples.items()
    }
