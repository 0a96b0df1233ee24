"""PredictionService: requests find their deployed model, reach a real server, are counted and logged.

After the descriptions of Predict and RawPredict in google-cloud-aiplatform, and the vendor's guides on dedicated
endpoints and on request sizes and time limits.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from google.api import httpbody_pb2

from mlinfra.emulator.gcp.endpoints import payloads, rules
from mlinfra.emulator.gcp.endpoints.metrics import Noted, labels_of
from mlinfra.emulator.gcp.operations import Method, Reply, Request, named
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.hosting.gateway import NotReached, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint
    from mlinfra.emulator.hosting.gateway import Answer

SERVICE = "PredictionService"
TIME_LIMIT = 60.0  # real s for a model behind a shared address to answer
DEDICATED_TIME_LIMIT = 600.0  # the same for one with an address of its own, where its configuration names none
_LARGEST, _LARGEST_DEDICATED = 1_500_000, 10_000_000  # bytes of a request or an answer
_JSON = "application/json"
_SHARED_ADDRESS = (
    "Dedicated Endpoint cannot be accessed through the shared Vertex AI domain {domain}. Please access the endpoint "
    "using its dedicated dns name '{dns}'"
)


@dataclass(frozen=True)
class _Asked:
    """One request on its way to a container."""

    body: bytes
    content_type: str
    instances: int
    lines: Sequence[str]  # as request-response logging writes it


class Predictions:
    """The RPCs of PredictionService. `time_limit` in real seconds."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self.time_limit = TIME_LIMIT
        self._emulator = emulator

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Nothing of it stays."""
        return []

    def predict(self, request: Request) -> Any:
        """Predict."""
        endpoint = self._endpoint(request, request.message.endpoint)
        body = payloads.request_body(request.message)
        instances = json.loads(body)["instances"]
        asked = _Asked(body, _JSON, len(instances), [json.dumps(each) for each in instances])
        deployment, answer = self._ask(endpoint, asked, check=payloads.answer)
        made = payloads.answer(answer.body, deployment)
        lines = [json.dumps(each) for each in json.loads(answer.body)["predictions"]]
        self._log(endpoint, deployment, asked, lines)
        return made

    def raw_predict(self, request: Request) -> Reply:
        """RawPredict: body and content type go both ways as they are."""
        endpoint = self._endpoint(request, request.message.endpoint)
        sent = request.message.http_body
        asked = _Asked(sent.data, sent.content_type or _JSON, 1, [sent.data.decode("utf-8", "replace")])
        deployment, answer = self._ask(endpoint, asked)
        self._log(endpoint, deployment, asked, [answer.body.decode("utf-8", "replace")])
        headers = {
            "X-Vertex-AI-Endpoint-Id": endpoint.id,
            "X-Vertex-AI-Deployed-Model-Id": deployment.id,
            "X-Vertex-AI-Model": str(deployment.message.model),
            "X-Vertex-AI-Model-Version-Id": str(deployment.message.model_version_id),
        }
        content_type = answer.headers.get("content-type", "")
        return Reply(httpbody_pb2.HttpBody(content_type=content_type, data=answer.body), headers)

    # The parts

    def _endpoint(self, request: Request, name: str) -> Endpoint:
        """The endpoint that is asked, at an address where it answers."""
        endpoint: Endpoint = self._emulator.endpoints.get(name)
        if endpoint.address is not None and request.address != endpoint.name:
            words = {"domain": self._emulator.secure, "dns": endpoint.address.dns}
            raise refusals.failed_precondition(_SHARED_ADDRESS.format(**words))
        if endpoint.address is None and request.address:
            raise refusals.failed_precondition(f"Endpoint {endpoint.name} cannot be accessed through this domain.")
        if endpoint.message.network or "private_service_connect_config" in endpoint.message:
            raise refusals.not_emulated("Asking an endpoint inside a private network")
        return endpoint

    def _ask(
        self, endpoint: Endpoint, asked: _Asked, check: Callable[[bytes, Deployment], object] = lambda body, _: body
    ) -> tuple[Deployment, Answer]:
        """Send a request to a server and return its answer, which is a good one, and passes the check.

        Raises:
            Refusal: whatever kept it from being answered well.
        """
        largest = _LARGEST_DEDICATED if endpoint.address else _LARGEST
        if len(asked.body) > largest:
            raise _too_large("request", len(asked.body), largest)
        began = time.perf_counter()
        deployment = endpoint.routes.enter()
        if deployment is None:
            raise refusals.failed_precondition(f"Endpoint {endpoint.name} has no DeployedModel that takes traffic.")
        try:
            answer, seconds = self._reach(endpoint, deployment, asked, began)
        finally:
            endpoint.routes.leave(deployment)
        error = _problem(answer, deployment, largest, check)
        status = answer.status if answer.status >= HTTPStatus.BAD_REQUEST or error is None else error.status
        self._note(endpoint, deployment, asked, status, began, seconds)
        if error is not None:
            raise error
        return deployment, answer

    def _reach(self, endpoint: Endpoint, deployment: Deployment, asked: _Asked, began: float) -> tuple[Answer, float]:
        """The answer of a server, and the seconds that it took."""
        headers = {"Content-Type": asked.content_type}
        limit = self._limit(endpoint)
        sent = time.perf_counter()
        route = deployment.container.predict_route
        try:
            answer = endpoint.gateway.ask(deployment.fleet, route, asked.body, headers, limit)
        except TimedOut:
            took = time.perf_counter() - sent
            self._note(endpoint, deployment, asked, HTTPStatus.GATEWAY_TIMEOUT, began, took)
            raise refusals.refusal("DEADLINE_EXCEEDED", f"The model server did not answer within {limit:g}s.") from None
        except NotReached as exc:
            self._note(endpoint, deployment, asked, HTTPStatus.SERVICE_UNAVAILABLE, began, None)
            raise refusals.refusal("UNAVAILABLE", "The service is currently unavailable.") from exc
        return answer, time.perf_counter() - sent

    def _limit(self, endpoint: Endpoint) -> float:
        """How many real seconds a model has to answer."""
        if endpoint.address is None:
            return self.time_limit
        return rules.inference_timeout(endpoint.message) or DEDICATED_TIME_LIMIT

    def _note(  # noqa: PLR0917  what a request was, as it came out
        self, endpoint: Endpoint, deployment: Deployment, asked: _Asked, status: int, began: float, model: float | None
    ) -> None:
        noted = Noted(
            at=self._emulator.clock.now(),
            labels=labels_of(endpoint, deployment),
            status=status,
            seconds=time.perf_counter() - began,
            model_seconds=model,
            instances=asked.instances,
        )
        endpoint.meter.note(noted)
        if deployment.message.enable_access_logging:
            self._emulator.endpoints.log_access(endpoint, deployment, noted)

    def _log(self, endpoint: Endpoint, deployment: Deployment, asked: _Asked, lines: Sequence[str]) -> None:
        endpoint.log.take(endpoint.name, deployment.id, self._emulator.clock.now(), asked.lines, lines)


def _problem(
    answer: Answer, deployment: Deployment, largest: int, check: Callable[[bytes, Deployment], object]
) -> Refusal | None:
    """What is wrong with a container's answer; None where nothing is."""
    if answer.status >= HTTPStatus.BAD_REQUEST:
        return payloads.refused(answer.status, answer.body)
    if len(answer.body) > largest:
        return _too_large("response", len(answer.body), largest)
    try:
        check(answer.body, deployment)
    except payloads.BadAnswer as exc:
        return refusals.refusal("INTERNAL", str(exc))
    return None


def _too_large(what: str, size: int, largest: int) -> Refusal:
    return refusals.invalid_argument(f"The {what} size ({size} bytes) exceeds {largest / 1e6:.3f}MB limit.")


_ENDPOINT = named("endpoint")
_PERMISSION = "aiplatform.endpoints.predict"
_SAME = (
    "time limits count in real time, whatever the speed of the emulator's clock; a shared endpoint's is 60 s",
    "an endpoint inside a private network answers 'not emulated'",
    "request-response logging keeps its rows in memory (admin `endpoints/requestlog`); there is no BigQuery",
)
METHODS = (
    Method(
        SERVICE,
        "Predict",
        lambda emulator, request: emulator.predictions.predict(request),
        _PERMISSION,
        _ENDPOINT,
        "other",
        (*_SAME, "a container's error status becomes the code that google.rpc.Code names for it, its body the message"),
        control=False,
    ),
    Method(
        SERVICE,
        "RawPredict",
        lambda emulator, request: emulator.predictions.raw_predict(request),
        _PERMISSION,
        _ENDPOINT,
        "other",
        (
            *_SAME,
            "a container's error becomes the service's error, also over REST; of headers only Content-Type passes",
        ),
        control=False,
    ),
)
