"""Getting an endpoint from what is there to the shape that is wanted, through its adapter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import EndpointDesired
from mlinfra.contract.jobs import ID_TAG
from mlinfra.contract.steps import Done, Failed, Step, Wait
from mlinfra.engine import traffic
from mlinfra.engine.effects import read_all
from mlinfra.engine.identity import ID_DIGITS, digest
from mlinfra.engine.lease import TTL
from mlinfra.engine.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.engine.releases import Release
    from mlinfra.engine.session import Session
    from mlinfra.spec import EndpointSpec

DEADLINE = 7200.0  # seconds for one shape
LONGEST_PAUSE = TTL / 3  # so that the lease is renewed in time
_LAG = 5.0  # seconds between looks at a change that was acknowledged and does not show yet


def observe(session: Session, name: str) -> EndpointObservation | None:
    """The endpoint as the platform tells it now; None where there is none."""
    renderer = session.adapter.endpoints
    physical_name = renderer.physical_name(name, session.environment)
    replies = read_all(session, renderer.observe(physical_name, session.environment))
    return session.adapter.observe.endpoint(replies, session.environment)


def desire(session: Session, release: Release) -> EndpointDesired:
    """The endpoint with a release behind it."""
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

    `between` is called before each look. Waiting longer than `give_up_after` seconds counts as a failure.

    Raises:
        DeploymentFailed: the platform says that it cannot get there, or it was given up.
        Unavailable: it did not get there within the deadline.
    """
    seen: list[EndpointObservation | None] = [None]
    ends = None if give_up_after is None else session.clock.monotonic() + give_up_after

    def look() -> EndpointObservation | None:
        between()
        seen[0] = observe(session, desired.name)
        return seen[0]

    def step(observed: EndpointObservation | None) -> Step:
        wanted = _next_step(session, desired, observed)
        if not isinstance(wanted, Wait):
            return wanted
        if ends is not None and session.clock.monotonic() >= ends:
            return Failed(f"gave up waiting for {wanted.until} after {give_up_after:.0f} s")
        return replace(wanted, poll_after=min(wanted.poll_after, LONGEST_PAUSE))

    reconcile(session, f"endpoint/{desired.name}", look, step, deadline=deadline)
    return seen[0]


def _next_step(session: Session, desired: EndpointDesired, observed: EndpointObservation | None) -> Step:
    """The adapter's word, except that nothing counts as done before the platform shows it."""
    step = session.adapter.endpoints.next_step(desired, observed, session.environment)
    if not isinstance(step, Done):
        return step
    shown = {name: share for name, share in (observed.traffic if observed else {}).items() if share}
    wanted = {name: share for name, share in desired.traffic.items() if share}
    if shown == wanted:
        return step
    return Wait(f"the platform to show {traffic.tell(wanted)}, it shows {traffic.tell(shown)}", _LAG)
