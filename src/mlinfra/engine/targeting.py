"""Asking one deployment where a platform's requests name none: again and again, until the one that is meant answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.engine.traffic import WHOLE
from mlinfra.errors import CapabilityError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.contract.endpoints import EndpointObservation, Invocation
    from mlinfra.engine.session import Session

MOST_TRIES = 100  # at 5 % of the traffic the one that is meant misses them all once in 170 calls


def out_of_reach(session: Session, endpoint: EndpointObservation, deployment: str) -> str:
    """Why one deployment cannot be asked by itself; empty where it can."""
    cell = support(session.adapter.capabilities, Capability.ENDPOINT_TARGET)
    share = endpoint.traffic.get(deployment, 0)
    if cell.level is Level.NATIVE or (cell.level is Level.KIT and share):
        return ""
    return cell.reason


def is_chosen_by_chance(session: Session) -> bool:
    """Whether the platform's requests name no deployment, so that its split alone decides who answers."""
    return support(session.adapter.capabilities, Capability.ENDPOINT_TARGET).level is Level.KIT


def ask_until_it_answers(
    session: Session, endpoint: EndpointObservation, deployment: str, ask: Callable[[], Invocation]
) -> Invocation:
    """The answer of that deployment. What the others answer on the way is thrown away.

    Raises:
        CapabilityError: it has no traffic, so that it never answers.
        Unavailable: it did not answer in as many tries as are reasonable.
    """
    reason = out_of_reach(session, endpoint, deployment)
    if reason:
        raise CapabilityError(
            f"{deployment} cannot be asked: it has no traffic, and {reason}",
            given=deployment,
            todo="give it some: `mlinfra endpoint traffic`",
        )
    for _ in range(MOST_TRIES):
        answer = ask()
        if answer.deployment == deployment or endpoint.traffic[deployment] == WHOLE:
            return answer
    raise Unavailable(
        f"{deployment} did not answer in {MOST_TRIES} tries: it has {endpoint.traffic[deployment]} % of the traffic",
        todo="run again, or give it more traffic",
    )
