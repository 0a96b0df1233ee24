"""What the plain HTTP services share: who calls, JSON in and out, and refusals as ARM tells them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.azure.emulator import AzureEmulator

JSON = "application/json; charset=utf-8"


def served(
    environ: WSGIEnvironment, start_response: StartResponse, answer: Callable[[Request], Response]
) -> Iterable[bytes]:
    """Answer with what `answer` makes of a request; a Refusal becomes ARM's JSON error. Cut passes through."""
    try:
        response = answer(Request(environ))
    except Refusal as exc:
        response = replied(refusals.document(exc), exc.status, exc.headers)
    return response(environ, start_response)


def caller(emulator: AzureEmulator, request: Request, audience: str) -> str:
    """The object id of who calls, by the bearer token. `audience`: principals.AUDIENCES' "management", "storage", ….

    Raises:
        Refusal: 401, no token, none that was issued here, too old, or for another service.
    """
    return emulator.principals.caller(request.headers.get("Authorization", ""), audience)


def document(request: Request) -> Any:
    """The body's JSON; None where there is no body.

    Raises:
        Refusal: InvalidRequestContent, it is none.
    """
    text = request.get_data()
    try:
        return json.loads(text) if text else None
    except ValueError as exc:
        told = f"The request content was invalid and could not be deserialized: '{exc}'."
        raise refusals.refusal("InvalidRequestContent", told) from None


def replied(body: Any, status: int = 200, headers: Any = None) -> Response:
    """A JSON answer; None is an empty one."""
    if body is None:
        return Response(b"", status, headers)
    return Response(json.dumps(body), status, headers, content_type=JSON)
