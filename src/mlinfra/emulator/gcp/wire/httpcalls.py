"""What the plain HTTP services share: who calls, and refusals as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.gcp.emulator import GcpEmulator

_JSON = "application/json; charset=UTF-8"
_LONGEST_BODY = 64 * 1024 * 1024


def served(
    environ: WSGIEnvironment, start_response: StartResponse, answer: Callable[[Request], Response]
) -> Iterable[bytes]:
    """Answer with what `answer` makes of a request; a Refusal becomes the service's JSON error. Cut passes through."""
    try:
        response = answer(Request(environ))
    except Refusal as exc:
        response = replied(refusals.document(exc), exc.status)
        response.headers.extend(exc.headers)
    return response(environ, start_response)


def caller(emulator: GcpEmulator, request: Request, *, anonymous: bool = False) -> str:
    """The e-mail of who calls, by the bearer token; empty only where `anonymous` callers are let in.

    Raises:
        Refusal: UNAUTHENTICATED.
    """
    token = request.headers.get("Authorization", "")
    if not token and "access_token" in request.args:
        token = f"Bearer {request.args['access_token']}"
    found = emulator.principals.caller(token)
    if not found and not anonymous:
        raise refusals.unauthenticated(missing=True)
    return found


def document(request: Request) -> dict[str, Any]:
    """The body's JSON object; empty where there is no body.

    Raises:
        Refusal: INVALID_ARGUMENT, it is none.
    """
    text = request.get_data()
    try:
        found = json.loads(text) if text else {}
    except ValueError as exc:
        raise refusals.invalid_argument(f"Invalid JSON payload received. {exc}") from None
    if not isinstance(found, dict):
        raise refusals.invalid_argument("Invalid JSON payload received. Root element must be a message.")
    return found


def replied(body: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body), status, content_type=_JSON)
