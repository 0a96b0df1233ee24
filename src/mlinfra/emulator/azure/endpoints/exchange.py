"""One request to one fleet: it waits for an instance, is sent, and what comes back becomes the service's answer.

After the table of HTTP status codes in "Troubleshoot online endpoints deployment": 408 over the time-out, 424 for
whatever the model answers but 200, 429 over twice the concurrency of all instances.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.endpoints.gates import Full, Late
from mlinfra.emulator.hosting.gateway import NotReached, TimedOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.emulator.azure.endpoints.records import Fleet
    from mlinfra.emulator.hosting.gateway import Gateway

REASON, STATUS, TIME = "ms-azureml-model-error-reason", "ms-azureml-model-error-statuscode", "ms-azureml-model-time"
_TEXT = {"content-type": "text/plain"}
_MILLI = 1e3
# What ends at the service, on the way there and back.
_OWN = frozenset(
    {
        "authorization",
        "azureml-model-deployment",
        "connection",
        "content-length",
        "date",
        "host",
        "keep-alive",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True)
class Asked:
    """One request on its way to a container. Names of headers are in lower case."""

    route: str
    body: bytes
    headers: Mapping[str, str]
    request_id: str


@dataclass(frozen=True)
class Outcome:
    """What the caller is answered. `model_status` is None where the model has answered nothing."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    model_status: int | None = None


def passed(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that go on to the other side, their names in lower case."""
    return {name.lower(): value for name, value in headers if name.lower() not in _OWN}


def ask(gateway: Gateway, fleet: Fleet, asked: Asked, instances: int) -> Outcome:
    """What comes of a request. Blocks for as long as the deployment's time-out allows, its waiting included."""
    limit, began = fleet.requests.timeout, time.monotonic()
    try:
        fleet.gate.enter(fleet.requests.room(instances), fleet.requests.most(instances), limit)
    except Full:
        return Outcome(HTTPStatus.TOO_MANY_REQUESTS, headers={REASON: "too_many_pending_request", **_TEXT})
    except Late:
        return _late()
    try:
        left = limit - (time.monotonic() - began)
        sent = time.monotonic()
        headers = {**asked.headers, "x-request-id": asked.request_id}
        answer = gateway.ask(fleet.name, asked.route, asked.body, headers, max(left, 1e-3))
    except TimedOut:
        return _late()
    except NotReached:
        more = {REASON: "model_not_ready", STATUS: str(HTTPStatus.SERVICE_UNAVAILABLE.value), **_TEXT}
        return Outcome(HTTPStatus.FAILED_DEPENDENCY, b"no healthy upstream", more)
    finally:
        fleet.gate.leave()
    told = {**passed(answer.headers.items()), TIME: f"{(time.monotonic() - sent) * _MILLI:.0f}"}
    if answer.status != HTTPStatus.OK:
        told |= {REASON: "model_error", STATUS: str(answer.status)}
        return Outcome(HTTPStatus.FAILED_DEPENDENCY, answer.body, told, answer.status)
    return Outcome(HTTPStatus.OK, answer.body, told, answer.status)


def _late() -> Outcome:
    return Outcome(HTTPStatus.REQUEST_TIMEOUT, b"upstream request timeout", _TEXT)
