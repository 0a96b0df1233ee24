"""InvokeEndpoint and InvokeEndpointAsync: requests find their variant, reach a real server, are counted and captured.

After botocore's description of SageMaker Runtime and the error messages that the service has shown for years.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.endpoints import records
from mlinfra.emulator.aws.endpoints.asynchronous import Backlog
from mlinfra.emulator.aws.endpoints.capture import Exchange, Part
from mlinfra.emulator.aws.endpoints.metrics import Noted
from mlinfra.emulator.aws.operations import Operation, named
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.hosting.gateway import NotReached, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.records import Endpoint, Generation, Variant
    from mlinfra.emulator.aws.operations import Request
    from mlinfra.emulator.hosting.gateway import Answer

ROUTE = "/invocations"
TIME_LIMIT = 60.0  # real s for a model to answer
_LARGEST_ANSWER = 6 << 20
_LONGEST_MESSAGE = 2048  # characters, by the shape Message
_SHADOWS = 8  # copies under way at once; more are not sent
_SERVER_ERROR = 500
_TIMEOUT_MESSAGE = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
_SENT = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_UNSUPPORTED = (
    "TargetModel",
    "TargetContainerHostname",
    "EnableExplanations",
    "InferenceComponentName",
    "SessionId",
    "PrefixAwareId",
)


class Runtime:
    """The operations of SageMaker Runtime. `time_limit` in real seconds."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self.time_limit = TIME_LIMIT
        self._emulator = emulator
        self._shadows = ThreadPoolExecutor(_SHADOWS, "shadow")
        self._room = BoundedSemaphore(_SHADOWS)

    def stop(self) -> None:
        """Send no more copies."""
        self._shadows.shutdown(wait=False, cancel_futures=True)

    def invoke(self, request: Request) -> dict[str, Any]:
        """InvokeEndpoint."""
        body = request.body
        for member in _UNSUPPORTED:
            if member in body:
                raise refusals.not_emulated(f"{member} of InvokeEndpoint")
        endpoint, generation = self._serving(body["EndpointName"])
        if generation.is_asynchronous:
            raise _invalid(f"Endpoint {endpoint.name} is asynchronous and is invoked through InvokeEndpointAsync.")
        variant, answer = self.ask(endpoint, body, body["Body"], self.time_limit, target=body.get("TargetVariant"))
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise self._model_error(endpoint, answer.status, answer.body)
        if len(answer.body) > _LARGEST_ANSWER:
            raise self._model_error(endpoint, 0, b"The response of the model is larger than 6291456 bytes.")
        return {
            "Body": answer.body,
            "ContentType": answer.headers.get("content-type"),
            "InvokedProductionVariant": variant.name,
            "CustomAttributes": answer.headers.get(_SENT["CustomAttributes"]),
        }

    def invoke_async(self, request: Request) -> dict[str, Any]:
        """InvokeEndpointAsync."""
        body = request.body
        endpoint, generation = self._serving(body["EndpointName"])
        if not generation.is_asynchronous:
            raise _invalid(f"Endpoint {endpoint.name} is not configured for asynchronous inference.")
        if bool(body.get("Body")) == ("InputLocation" in body):
            raise _invalid("Exactly one of Body and InputLocation must be given.")
        with endpoint.lock:
            if endpoint.backlog is None:
                endpoint.backlog = Backlog(self._emulator, self, endpoint)
        return endpoint.backlog.put(generation, body)

    def ask(
        self, endpoint: Endpoint, told: Mapping[str, Any], body: bytes, limit: float, target: str | None = None
    ) -> tuple[Variant, Answer]:
        """Send a request to a server and return whatever it answers; `told` holds the members that become headers.

        Raises:
            Refusal: there is no such variant, none of its servers can be reached, or too many requests are under way.
        """
        began = time.perf_counter()
        variant = endpoint.routes.enter(target)
        if variant is None:
            if target:
                raise _invalid(f"Variant {target} of endpoint {endpoint.name} not found.")
            raise Refusal("ServiceUnavailable", "No variant of the endpoint takes requests.", status=503)
        try:
            answer, seconds = self._reach(endpoint, variant, told, body, limit)
            self._note(endpoint, variant, answer.status, seconds, time.perf_counter() - began)
        finally:
            endpoint.routes.leave(variant)
        if answer.status < HTTPStatus.BAD_REQUEST:
            self._capture(variant, told, body, answer)
        shadow = variant.shadow
        if shadow and shadow.gets_the_next() and self._room.acquire(blocking=False):
            self._copy(endpoint, shadow.variant, told, body)
        return variant, answer

    # The parts

    def _serving(self, name: str) -> tuple[Endpoint, Generation]:
        """The endpoint of just that name, where it takes requests, and what serves."""
        endpoint = self._emulator.endpoints.find(name)
        if endpoint is None or endpoint.name != name or endpoint.status not in records.ANSWERING:
            raise _invalid(f"Endpoint {name} of account {self._emulator.account} not found.")
        generation = endpoint.serving
        if generation is None:
            raise _invalid(f"Endpoint {name} of account {self._emulator.account} not found.")
        return endpoint, generation

    def _reach(
        self, endpoint: Endpoint, variant: Variant, told: Mapping[str, Any], body: bytes, limit: float
    ) -> tuple[Answer, float]:
        """The answer of a server, and the seconds that it took."""
        deployment = variant.deployment
        if variant.is_serverless:
            deployment = self._awake(endpoint, variant)
        headers = {header: told[member] for member, header in _SENT.items() if member in told}
        began = time.perf_counter()
        try:
            answer = endpoint.gateway.ask(deployment, ROUTE, body, headers, limit)
        except TimedOut:
            self._note(endpoint, variant, _SERVER_ERROR, time.perf_counter() - began, 0.0)
            raise self._model_error(endpoint, 0, _TIMEOUT_MESSAGE.encode()) from None
        except NotReached as exc:
            self._note(endpoint, variant, _SERVER_ERROR, None, 0.0)
            raise Refusal("ServiceUnavailable", f"The service is unavailable: {exc}", status=503) from exc
        return answer, time.perf_counter() - began

    def _awake(self, endpoint: Endpoint, variant: Variant) -> str:
        """The deployment of a serverless variant, woken if it sleeps."""
        variant.asked = self._emulator.clock.monotonic()
        serverless = variant.plan.serverless or {}
        if endpoint.routes.under_way(variant) > serverless["MaxConcurrency"]:
            raise Refusal("ThrottlingException", "Rate exceeded", status=400)
        problem = self._emulator.endpoints.fleets.wake(endpoint, variant)
        if problem:
            raise Refusal("ModelNotReadyException", problem, status=429)
        return variant.deployment

    def _note(self, endpoint: Endpoint, variant: Variant, status: int, model: float | None, total: float) -> None:
        noted = Noted(
            at=self._emulator.clock.now(),
            variant=variant.name,
            config=variant.config,
            status=status,
            model_seconds=model,
            overhead_seconds=max(0.0, total - (model or 0.0)),
            instances=variant.current_count or 1,
        )
        endpoint.meter.note(noted)

    def _capture(self, variant: Variant, told: Mapping[str, Any], body: bytes, answer: Answer) -> None:
        if variant.capture is None:
            return
        exchange = Exchange(
            at=self._emulator.clock.now(),
            variant=variant.name,
            request=Part(told.get("ContentType", ""), body),
            answer=Part(answer.headers.get("content-type", ""), answer.body),
            inference_id=told.get("InferenceId", ""),
            custom_attributes=told.get("CustomAttributes", ""),
        )
        variant.capture.take(exchange)

    def _copy(self, endpoint: Endpoint, shadow: Variant, told: Mapping[str, Any], body: bytes) -> None:
        """Send the same request to the shadow; its answer counts in its metrics and goes nowhere."""

        def send() -> None:
            try:
                began = time.perf_counter()
                answer = endpoint.gateway.ask(shadow.deployment, ROUTE, body, headers, self.time_limit)
                self._note(endpoint, shadow, answer.status, time.perf_counter() - began, 0.0)
            except (TimedOut, NotReached):
                self._note(endpoint, shadow, _SERVER_ERROR, None, 0.0)
            finally:
                self._room.release()

        headers = {header: told[member] for member, header in _SENT.items() if member in told}
        self._shadows.submit(send)

    def _model_error(self, endpoint: Endpoint, status: int, body: bytes) -> Refusal:
        """The container answered an error, or nothing."""
        region, account = self._emulator.region, self._emulator.account
        group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
        text = body.decode("utf-8", "replace")[:_LONGEST_MESSAGE]
        client = HTTPStatus.BAD_REQUEST <= status < _SERVER_ERROR
        message = (
            f'Received {"client" if client else "server"} error ({status}) from primary with message "{text}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} in "
            f"account {account} for more information."
        )
        details = {
            "OriginalStatusCode": status,
            "OriginalMessage": text,
            "LogStreamArn": f"arn:aws:logs:{region}:{account}:log-group:{group}",
        }
        return Refusal("ModelError", message, status=424, details=details)


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationError", message)


_RESOURCE = named("endpoint", "EndpointName")
OPERATIONS = (
    Operation(
        "InvokeEndpoint",
        lambda emulator, request: emulator.runtime.invoke(request),
        _RESOURCE,
        (
            "multi-model, multi-container, inference-component, session and explainer headers answer 'not emulated'",
            "a serverless variant has one server however many requests are under way; its size means nothing",
            "time-outs count in real time, whatever the speed of the emulator's clock",
            "captured are requests that were answered, not those that the model refused or failed",
        ),
    ),
    Operation(
        "InvokeEndpointAsync",
        lambda emulator, request: emulator.runtime.invoke_async(request),
        _RESOURCE,
        ("no notifications; the backlog lives in memory",),
    ),
)
