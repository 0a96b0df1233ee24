"""Getting an endpoint from what is there to the shape that is wanted, through its adapter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlinfra.contract.endpoints import EndpointDesired
from mlinfra.contract.jobs import ID_TAG
from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra.engine import traffic
from mlinfra.engine.effects import read_all
from mlinfra.engine.identity import ID_DIGITS, digest
from mlinfra.engine.lease import TTL
from mlinfra.engine.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.endpoints import EndpointObservation, Guard
    from mlinfra.engine.releases import Release
    from mlinfra.engine.session import Session
    from mlinfra.spec import EndpointSpec

DEADLINE = 7200.0  # seconds for one shape
LONGEST_PAUSE = TTL / 3  # so that the lease is renewed in time
LAG = 60.0  # seconds for which a read may show an endpoint's traffic as it was before
LOOK = 2.0  # seconds between looks at a change that was acknowledged and does not show yet
_MARKS = frozenset({"etag", "ifMatch"})  # by which a request is refused where the state has moved on
_SEND_AGAIN_AFTER = 15.0  # seconds; what did not show for so long may not have had its effect


def observe(session: Session, name: str) -> EndpointObservation | None:
    """The endpoint as the platform tells it now; None where there is none."""
    return look(session, session.adapter.endpoints.physical_name(name, session.environment))


def look(session: Session, physical_name: str) -> EndpointObservation | None:
    """As `observe`, by the platform's own name."""
    replies = read_all(session, session.adapter.endpoints.observe(physical_name, session.environment))
    return session.adapter.observe.endpoint(replies, session.environment)


def shares(serving: EndpointObservation | EndpointDesired | Release | None) -> dict[str, int]:
    """Who has traffic and how much; whoever has none is left out."""
    return {name: share for name, share in (serving.traffic if serving else {}).items() if share}


def desire(session: Session, release: Release, *, guard: Guard | None = None) -> EndpointDesired:
    """The endpoint with a release behind it; with a `guard` the platform itself gets there and watches."""
    spec = release.spec
    environment = session.environment
    identity = digest({"environment": environment.id, "endpoint": spec.name})[:ID_DIGITS]
    return EndpointDesired(
        spec=spec,
        name=spec.name,
        physical_name=session.adapter.endpoints.physical_name(spec.name, environment),
        deployments=release.deployments,
        expires=release.expires,
        tags={**environment.tags, **spec.tags, ID_TAG: identity},
        guard=guard,
    )


def nothing(session: Session, spec: EndpointSpec) -> EndpointDesired:
    """The endpoint gone."""
    physical_name = session.adapter.endpoints.physical_name(spec.name, session.environment)
    return EndpointDesired(spec=spec, name=spec.name, physical_name=physical_name, deployments=())


def is_there(session: Session, desired: EndpointDesired, observed: EndpointObservation | None) -> bool:
    """Whether the adapter has nothing left to do."""
    return isinstance(_next_step(session, desired, observed), Done)


def shape(
    session: Session,
    desired: EndpointDesired,
    *,
    between: Callable[[], None],
    give_up_after: float | None = None,
    deadline: float = DEADLINE,
) -> EndpointObservation | None:
    """Bring the endpoint to that shape, and return it as it then is. May be killed anywhere and run again.

    `between` is called before each look, and while a long-running operation is followed. Waiting longer than
    `give_up_after` seconds counts as a failure.

    Raises:
        DeploymentFailed: the platform says that it cannot get there, or it was given up.
        Unavailable: it did not get there within the deadline.
    """
    steps = _Steps(session, desired, give_up_after)

    def look() -> EndpointObservation | None:
        between()
        steps.observed = observe(session, desired.name)
        return steps.observed

    reconcile(session, f"endpoint/{desired.name}", look, steps.next, deadline=deadline, between=between)
    return steps.observed


class _Steps:
    """The adapter's steps, with the patience that a pure function cannot have."""

    def __init__(self, session: Session, desired: EndpointDesired, give_up_after: float | None) -> None:
        self._session = session
        self._desired = desired
        self._limit = give_up_after
        self._began = session.clock.monotonic()
        self._sent: tuple[Send, float] | None = None
        self.observed: EndpointObservation | None = None

    def next(self, observed: EndpointObservation | None) -> Step:
        """What to do now: wait where the adapter would send the same thing again because reads lag, or give up."""
        now = self._session.clock.monotonic()
        step = _next_step(self._session, self._desired, observed)
        if isinstance(step, Send):
            if self._sent is None or not _alike(self._sent[0], step) or now - self._sent[1] >= _SEND_AGAIN_AFTER:
                self._sent = (step, now)
                return step
            step = Wait("what was sent to show", LOOK)
        if isinstance(step, Wait):
            if self._limit is not None and now - self._began >= self._limit:
                return Failed(f"gave up waiting for {step.until} after {self._limit:.0f} s")
            return replace(step, poll_after=min(step.poll_after, LONGEST_PAUSE))
        return step


def _alike(one: Send, other: Send) -> bool:
    """Whether two steps ask for the same, whatever the state that each of them was made for."""
    return [_wish(each.as_document()) for each in one.requests] == [
        _wish(each.as_document()) for each in other.requests
    ]


def _wish(document: Any) -> Any:
    """A request's document without the marks of the state that was looked at."""
    if isinstance(document, dict):
        return {name: _wish(value) for name, value in document.items() if name not in _MARKS}
    return [_wish(each) for each in document] if isinstance(document, list) else document


def _next_step(session: Session, desired: EndpointDesired, observed: EndpointObservation | None) -> Step:
    """The adapter's word, except that nothing counts as done before the platform shows it."""
    step = session.adapter.endpoints.next_step(desired, observed, session.environment)
    if not isinstance(step, Done):
        return step
    shown, wanted = shares(observed), shares(desired)
    if shown == wanted:
        return step
    return Wait(f"the platform to show {traffic.tell(wanted)}, it shows {traffic.tell(shown)}", LOOK)
