"""The smoke probe: a new deployment answers the model's own stored example before any user's request reaches it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlinfra.engine.invoke import ask, body_of, predictions_of
from mlinfra.engine.shaping import observe
from mlinfra.engine.targeting import out_of_reach
from mlinfra.engine.traffic import WHOLE
from mlinfra.errors import DeploymentFailed, InputRejected, InvocationFailed, NotFound, TemporaryError, shorten

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import DeploymentDesired, EndpointObservation
    from mlinfra.engine.session import Session

ATTEMPTS = 3  # a server that has just become ready may stumble once
PAUSE = 2.0  # seconds
# Other processors and libraries move last digits; a wrong model or preparation moves far more than these.
RELATIVE = 1e-4
ABSOLUTE = 1e-6


def probe(session: Session, endpoint: EndpointObservation, deployment: DeploymentDesired) -> str:
    """Ask a deployment for the predictions stored with its model. Says in words what came of it.

    Raises:
        DeploymentFailed: it does not answer, answers with an error, or with other predictions.
        TemporaryError: the platform cannot be reached at all.
    """
    example = deployment.manifest.get("example")
    if not example or not example.get("rows"):
        return f"{deployment.name} not probed: no example is stored with the model"
    reason = _out_of_reach(session, endpoint, deployment)
    if reason:
        return f"{deployment.name} not probed: {reason}"
    answered = _answers(session, endpoint, deployment, example["rows"])
    expected = example.get("predictions")
    if expected is not None and not _alike(answered, expected):
        raise DeploymentFailed(
            f"{deployment.name} answers the model's stored example differently",
            given=shorten(answered),
            allowed=shorten(expected),
            todo="compare the versions of the libraries in the image with those in the model package",
        )
    precision = ", to the last bit" if answered == expected else ""
    return f"{deployment.name} answers the model's {len(example['rows'])} example rows{precision}"


def _answers(
    session: Session, endpoint: EndpointObservation, deployment: DeploymentDesired, rows: list[Any]
) -> list[Any]:
    only = endpoint.traffic.get(deployment.name) == WHOLE and bool(out_of_reach(session, endpoint, deployment.name))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return predictions_of(ask(session, endpoint, body_of(rows), deployment=None if only else deployment.name))
        except (InvocationFailed, InputRejected, NotFound) as exc:
            if attempt == ATTEMPTS:
                raise DeploymentFailed(
                    f"{deployment.name} fails on the model's stored example: {exc}",
                    todo="`mlinfra endpoint logs` shows what the server printed",
                ) from exc
        except TemporaryError as exc:
            observe(session, endpoint.name)  # raises when it is the platform that cannot be reached
            raise DeploymentFailed(f"{deployment.name} does not answer the model's stored example: {exc.what}") from exc
        session.clock.sleep(PAUSE)
    raise AssertionError  # pragma: no cover  the loop returns or raises


def _out_of_reach(session: Session, endpoint: EndpointObservation, deployment: DeploymentDesired) -> str:
    """Why this one deployment cannot be asked; empty when it can."""
    if endpoint.traffic.get(deployment.name) == WHOLE:
        return ""
    return out_of_reach(session, endpoint, deployment.name)


def _alike(answered: Any, expected: Any) -> bool:
    if isinstance(answered, list) and isinstance(expected, list):
        return len(answered) == len(expected) and all(map(_alike, answered, expected))
    if _is_number(answered) and _is_number(expected):
        both_nan = math.isnan(answered) and math.isnan(expected)
        return both_nan or math.isclose(answered, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(answered == expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
