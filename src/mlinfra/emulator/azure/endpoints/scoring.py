"""The scoring address: requests find their deployment, reach a real server, are counted, mirrored and collected.

After the guides "Authentication for managed online endpoints", "Safe rollout for online endpoints" (the header
azureml-model-deployment) and "Troubleshoot online endpoints deployment", whose table of HTTP status codes says what
becomes of what; the words in `ms-azureml-model-error-reason` are those of the vendor's own gateway.
"""

from __future__ import annotations

import re
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from mlinfra.emulator.azure.endpoints import records
from mlinfra.emulator.azure.endpoints.collector import Exchange, Part
from mlinfra.emulator.azure.endpoints.exchange import Asked, Outcome, ask, passed
from mlinfra.emulator.azure.endpoints.keys import AAD_TOKEN, KEY
from mlinfra.emulator.azure.endpoints.metrics import Event, Noted
from mlinfra.emulator.azure.endpoints.mirroring import Mirroring
from mlinfra.emulator.azure.names import ML, own
from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.calls import Call
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.records import Endpoint, Fleet
    from mlinfra.emulator.calls import Refusal

OPERATION = "OnlineEndpoints_Score"
_ACTION = f"{ML}/workspaces/onlineEndpoints/score/action"
_PATH = re.compile(r"/endpoints/(?P<name>[^/]+)(?P<route>/.*)?")
_USUAL_ROUTE = "/score"
_DEPLOYMENT = "azureml-model-deployment"
_REQUEST_ID = "x-request-id"
_BEARER = "bearer "


class Scoring:
    """Answers what comes in below `/endpoints/<name>`."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._mirroring = Mirroring()

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Cut passes through."""
        return httpcalls.served(environ, start_response, self._answer)

    def stop(self) -> None:
        """Mirror no more requests."""
        self._mirroring.stop()

    def leftovers(self) -> list[str]:
        """Nothing of it stays."""
        return []

    def _answer(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        endpoint = self._emulator.endpoints.find(found["name"]) if found else None
        if found is None or endpoint is None or endpoint.state in {records.CREATING, records.DELETING}:
            return Response(status=HTTPStatus.NOT_FOUND)
        if request.method != "POST":
            return Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
        if endpoint.document["properties"].get("publicNetworkAccess") == "Disabled":
            raise refusals.not_emulated("Asking an endpoint that is reached through a private endpoint alone")
        principal = self._caller(endpoint, request)
        call = Call(
            service=ML,
            operation=OPERATION,
            action=_ACTION if endpoint.auth_mode == AAD_TOKEN else "",
            principal=principal,
            resources=(endpoint.id,),
            body={"endpoint": endpoint.name, "deployment": request.headers.get(_DEPLOYMENT, "")},
            control=False,
        )
        route = found["route"] or _USUAL_ROUTE
        return self._emulator.desk.admit(call, lambda: self._score(endpoint, route, request), lie=_lie)

    def _caller(self, endpoint: Endpoint, request: Request) -> str:
        """The object id of who calls, where the endpoint wants to know; empty where a key or its own token is shown.

        Raises:
            Refusal: 401, what is shown is worth nothing here.
        """
        if endpoint.auth_mode == AAD_TOKEN:
            return httpcalls.caller(self._emulator, request, "ml")
        shown = request.headers.get("Authorization", "")
        text = shown[len(_BEARER) :].strip() if shown.lower().startswith(_BEARER) else ""
        if endpoint.auth_mode == KEY:
            good = endpoint.keys.takes_key(text)
        else:
            good = endpoint.keys.takes_token(text, self._emulator.clock.now())
        if not good:
            raise _unauthorized(endpoint.auth_mode)
        return ""

    def _score(self, endpoint: Endpoint, route: str, request: Request) -> Response:
        """Send a request to a server and answer with what comes of it."""
        endpoint.route()
        name = request.headers.get(_DEPLOYMENT)
        named = endpoint.serving(name) if name else None
        if name and named is None:
            return _nowhere(f"Deployment {name} was not found in endpoint {endpoint.name}.")
        fleet = endpoint.routes.enter(named.name if named else None)
        if fleet is None:
            return _nowhere(f"Endpoint {endpoint.name} has no deployment with traffic.")
        try:
            scoring = fleet.container.routes.scoring
            if route not in {_USUAL_ROUTE, scoring}:
                return _nowhere(f"{route} is not the scoring route of the deployment.")
            asked = Asked(
                route=scoring,
                body=request.get_data(),
                headers=passed(request.headers.items()),
                request_id=request.headers.get(_REQUEST_ID) or str(uuid.uuid4()),
            )
            if not name:
                self._mirror(endpoint, asked)
            outcome = self._exchange(endpoint, fleet, asked)
        finally:
            endpoint.routes.leave(fleet)
        headers = {**outcome.headers, _DEPLOYMENT: own(fleet.deployment), _REQUEST_ID: asked.request_id}
        return Response(outcome.body, outcome.status, headers)

    def _exchange(self, endpoint: Endpoint, fleet: Fleet, asked: Asked) -> Outcome:
        """Ask a fleet, count what came of it, and let its collector take it."""
        began = time.perf_counter()
        name, now = own(fleet.deployment), self._emulator.clock.now
        deployment = endpoint.deployments.get(name.lower())
        instances = (deployment.available or deployment.wanted) if deployment else 1
        outcome = ask(endpoint.gateway, fleet, asked, instances)
        seconds = time.perf_counter() - began
        endpoint.meter.note(Noted(now(), name, fleet.deployment, outcome.status, outcome.model_status, seconds))
        if fleet.collector is not None and outcome.model_status is not None:
            exchange = Exchange(
                at=now(),
                path=asked.route,
                request_id=asked.request_id,
                request=Part(asked.headers.get("content-type", ""), asked.body, asked.headers),
                response=Part(outcome.headers.get("content-type", ""), outcome.body, outcome.headers),
            )
            for kind in fleet.collector.take(exchange):
                endpoint.meter.collected(Event(now(), name, fleet.deployment, kind))
        return outcome

    def _mirror(self, endpoint: Endpoint, asked: Asked) -> None:
        """Send a copy to the deployment that is mirrored to, if it is its turn; the answer goes nowhere."""
        target = self._mirroring.next(endpoint)
        fleet = endpoint.routes.enter(target) if target else None
        if fleet is None:
            return

        def send() -> None:
            try:
                self._exchange(endpoint, fleet, asked)
            finally:
                endpoint.routes.leave(fleet)

        if not self._mirroring.submit(send):
            endpoint.routes.leave(fleet)


def _unauthorized(mode: str) -> Refusal:
    what = "key" if mode == KEY else "token"
    challenge = {"WWW-Authenticate": "Bearer"}
    return refusals.refusal("Unauthorized", f"Access denied: the {what} is missing or invalid.", 401, headers=challenge)


def _nowhere(message: str) -> Response:
    return httpcalls.replied({"error": {"code": "NotFound", "message": message}}, HTTPStatus.NOT_FOUND)


def _lie(answer: Response | None, reply: Any) -> Response:
    """A false answer: another body, `{"body": text}`."""
    made = Response(str(reply.get("body", "")))
    if answer is not None:
        answer.headers.pop("Content-Length", None)
        made.status, made.headers = answer.status, answer.headers
    return made


OPERATIONS = (
    Fidelity(
        ML,
        OPERATION,
        validated="the key, the token or the permission; the route",
        differences=(
            "time limits count in real time, whatever the speed of the emulator's clock",
            "the limits of requests, connections and bytes a second are not enforced",
            "a deployment none of whose instances is ready answers 424 with the reason model_not_ready",
            "requests without a status of the model count with the modelStatusCode 0",
            "mirrored requests are dropped where more than 8 of them are under way",
        ),
    ),
)
