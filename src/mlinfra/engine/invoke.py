"""Prediction requests: one body out, one answer back, errors in our words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlinfra.engine.asynchronous import ask_later
from mlinfra.engine.effects import read
from mlinfra.engine.targeting import ask_until_it_answers, is_chosen_by_chance
from mlinfra.errors import InputRejected, InvocationFailed, NotFound, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.contract.endpoints import EndpointObservation, Invocation
    from mlinfra.engine.session import Session

JSON = "application/json"
_REFUSED = range(400, 500)
_ANSWERED = range(200, 300)


def ask(
    session: Session,
    endpoint: EndpointObservation,
    body: bytes,
    *,
    deployment: str | None = None,
    content_type: str = JSON,
    time_limit: float | None = None,
) -> Invocation:
    """Send a body to an endpoint, or to one of its deployments, and return whatever the model server answers.

    `time_limit` in seconds bounds the waiting for an asynchronous endpoint, which holds one deployment; others answer
    at once or not at all.

    Raises:
        NotFound: the endpoint or deployment is gone.
        CapabilityError: the deployment has no traffic, and the platform's requests name none.
        TemporaryError: no answer after all tries.
    """
    if endpoint.asynchronous:
        return _named(ask_later(session, endpoint, body, content_type, time_limit=time_limit), endpoint)

    def once() -> Invocation:
        renderer = session.adapter.endpoints
        reply = read(session, renderer.invoke(endpoint, deployment, body, content_type, session.environment))
        if reply is None:
            raise NotFound("nobody answers there", given=deployment or endpoint.name, todo="`mlinfra endpoint list`")
        return _named(session.adapter.observe.invocation(reply, session.environment), endpoint)

    if deployment is not None and is_chosen_by_chance(session):
        return ask_until_it_answers(session, endpoint, deployment, once)
    return once()


def body_of(rows: Sequence[Any]) -> bytes:
    """Rows, objects by column or lists in schema order, in the form that every platform passes on."""
    return json.dumps({"instances": list(rows)}, separators=(",", ":")).encode()


def raise_for_status(invocation: Invocation) -> None:
    """Nothing for an answer.

    Raises:
        InputRejected: the model's schema refuses rows; says which.
        InvocationFailed: any other error, with the server's status.
    """
    if invocation.status in _ANSWERED:
        return
    error = _error(invocation)
    if invocation.status in _REFUSED and isinstance(error.get("rows"), list):
        raise InputRejected(
            str(error.get("message") or "the model's schema refuses this input"),
            rows=error["rows"],
            todo="correct these cells; `mlinfra model show` prints the schema",
        )
    raise InvocationFailed(
        f"the endpoint answered with status {invocation.status}",
        given=error.get("message") or shorten(invocation.body.decode(errors="replace")),
        todo="`mlinfra endpoint logs` shows what the server printed",
        status=invocation.status,
    )


def predictions_of(invocation: Invocation) -> list[Any]:
    """The predictions of an answer, in the order of the rows.

    Raises:
        InputRejected, InvocationFailed: it is not one.
    """
    raise_for_status(invocation)
    try:
        predictions = json.loads(invocation.body)["predictions"]
    except (ValueError, KeyError, TypeError) as exc:
        raise _strange(invocation) from exc
    if not isinstance(predictions, list):
        raise _strange(invocation)
    return predictions


def _named(invocation: Invocation, endpoint: EndpointObservation) -> Invocation:
    """The answer with the kit's name of the deployment that gave it."""
    names = {each.native_id: each.name for each in endpoint.deployments if each.native_id}
    return replace(invocation, deployment=names.get(invocation.deployment, invocation.deployment))


def _error(invocation: Invocation) -> dict[str, Any]:
    try:
        error = json.loads(invocation.body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _strange(invocation: Invocation) -> InvocationFailed:
    return InvocationFailed(
        "the answer holds no predictions",
        given=shorten(invocation.body.decode(errors="replace")),
        allowed='{"predictions": […]}',
        status=invocation.status,
    )
