"""The emulator's own requests, below /_mlinfra/: what a test does in process, over HTTP, JSON in and JSON out.

Whoever asks shows the token that `emulator.json` holds; `status` alone needs none. Every answer says `emulated`.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mlinfra.environment import parse
from mlinfra.errors import Denied, MlinfraError, NotFound, SpecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.emulator import Emulator

PREFIX = "/_mlinfra/"
TOKEN_HEADER = "X-Mlinfra-Token"  # noqa: S105  a header's name
_STATUS = "status"
_LONGEST_BODY = 16 * 1024 * 1024


class Admin:
    """One emulator's requests. What only its cloud knows is asked of `Emulator.admin`."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request: 200, or the error as its document with 400, 403 or 404."""
        request = environ["PATH_INFO"].removeprefix(PREFIX)
        status = HTTPStatus.OK
        answer: Mapping[str, Any]
        try:
            self._check(request, environ.get("HTTP_X_MLINFRA_TOKEN"))
            answer = self._answer(request, _body(environ))
        except Denied as exc:
            status, answer = HTTPStatus.FORBIDDEN, {"error": exc.as_document()}
        except MlinfraError as exc:
            status = HTTPStatus.NOT_FOUND if isinstance(exc, NotFound) else HTTPStatus.BAD_REQUEST
            answer = {"error": exc.as_document()}
        text = json.dumps({"emulated": True, "platform": self._emulator.platform, **answer}, default=str).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [text]

    def _check(self, request: str, token: str | None) -> None:
        if request != _STATUS and token != self._emulator.token:
            raise Denied("the token is not this emulator's", todo="read it from the emulator's emulator.json")

    def _answer(self, request: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        handle = _REQUESTS.get(request)
        answer = handle(self._emulator, body) if handle else self._emulator.admin(request, body)
        if answer is None:
            raise NotFound("the emulator has no such request", given=request, allowed=", ".join(_REQUESTS))
        return answer


def _status(emulator: Emulator, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"url": emulator.url, "now": emulator.clock.now().isoformat()}


def _variables(emulator: Emulator, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"variables": emulator.variables()}


def _environment(emulator: Emulator, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"environment": emulator.environment(str(body.get("name", ""))).as_document()}


def _seed(emulator: Emulator, body: Mapping[str, Any]) -> Mapping[str, Any]:
    document = body.get("environment")
    if not isinstance(document, dict):
        raise SpecError("an environment is a JSON object", todo="send {environment: {…}}")
    return {"environment": emulator.seed(parse(document)).as_document()}


def _providers(emulator: Emulator, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"variables": emulator.attach()}


def _calls(emulator: Emulator, body: Mapping[str, Any]) -> Mapping[str, Any]:
    calls = emulator.ledger.calls(body.get("service"), body.get("operation"), control=body.get("control"))
    return {"calls": [{**call._asdict(), "at": call.at.isoformat()} for call in calls]}


def _clear(emulator: Emulator, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    emulator.ledger.clear()
    return {}


def _faults(emulator: Emulator, body: Mapping[str, Any]) -> Mapping[str, Any]:
    if "rules" in body:
        rules = body["rules"]
        if not isinstance(rules, list):
            raise SpecError("a script of faults is a list of rules", todo="send {rules: […]}")
        emulator.faults.script(rules)
    rules = [{**rule.model_dump(mode="json"), "counted": counted} for rule, counted in emulator.faults.rules()]
    return {"rules": rules}


def _leftovers(emulator: Emulator, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"leftovers": emulator.leftovers()}


def _advance(emulator: Emulator, body: Mapping[str, Any]) -> Mapping[str, Any]:
    seconds = body.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        raise UsageError("time goes forward by seconds", given=seconds, allowed="0 or more", todo="send {seconds: 60}")
    emulator.clock.advance(seconds)
    return {"now": emulator.clock.now().isoformat()}


def _stop(emulator: Emulator, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    emulator.asked_to_stop.set()
    return {}


_REQUESTS: dict[str, Callable[[Emulator, Mapping[str, Any]], Mapping[str, Any]]] = {
    _STATUS: _status,
    "variables": _variables,
    "environment": _environment,
    "seed": _seed,
    "providers": _providers,
    "calls": _calls,
    "calls/clear": _clear,
    "faults": _faults,
    "leftovers": _leftovers,
    "clock/advance": _advance,
    "stop": _stop,
}


def _body(environ: WSGIEnvironment) -> Mapping[str, Any]:
    """The request's JSON object; empty where there is no body.

    Raises:
        UsageError: it is not one.
    """
    data = environ["wsgi.input"].read(_LONGEST_BODY)
    try:
        body = json.loads(data) if data else {}
    except ValueError as exc:
        raise UsageError(f"not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise UsageError("the body is a JSON object", given=body)
    return body
