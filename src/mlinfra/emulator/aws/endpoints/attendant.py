"""What goes on beside the calls: logs and metrics published, captures written, leases renewed, idle servers ended."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from mlinfra.emulator.aws.endpoints.records import Endpoint
from mlinfra.emulator.aws.endpoints.utilisation import Utilisation
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.hosting.attendant import Attendant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.endpoints import Endpoints
    from mlinfra.emulator.aws.endpoints.records import Variant

GROUP = "/aws/sagemaker/Endpoints/{endpoint}"
_IDLE = 300.0  # virtual s until a serverless variant that nobody asks has no server any more
_MINUTE = 60.0  # virtual s between two looks at what scaling policies want and servers use


class EndpointAttendant(Attendant[Endpoint]):
    """One thread for all endpoints. Its own part are idle servers, captures and scaling, and the log groups."""

    def __init__(self, emulator: AwsEmulator, endpoints: Endpoints, stop: Event) -> None:
        super().__init__(endpoints.items, stop)
        self._emulator = emulator
        self._endpoints = endpoints
        self._flushed = 0.0
        self._scaled = 0.0
        self._utilisation = Utilisation(emulator.cloudwatch.put)
        self.start()

    def round(self) -> None:
        """Publish, carry, let idle servers sleep; flush captures and look at scaling when it is time."""
        self._endpoints.publish()
        now = self._emulator.clock.monotonic()
        for endpoint in self._endpoints.items():
            self.attend(endpoint)
            for variant in endpoint.fleets:
                if variant.is_serverless and now - variant.asked >= _IDLE:
                    self._let_sleep(endpoint, variant)
        if now - self._flushed >= self._endpoints.delays.seconds("endpoint.CaptureFlush"):
            self._flushed = now
            for endpoint in self._endpoints.items():
                endpoint.flush()
        if now - self._scaled >= _MINUTE:
            self._scaled = now
            self._emulator.autoscaling.look()
            for endpoint in self._endpoints.items():
                self._utilisation.measure(endpoint)

    def keep(self, endpoint: Endpoint, lines: Sequence[dict[str, Any]]) -> None:
        """Write them to the log group of the endpoint, one stream for each instance."""
        streams: dict[str, list[tuple[int, str]]] = {}
        ahead = self._emulator.clock.ahead()
        for line in lines:
            stream = _stream(endpoint, line["source"])
            if stream:
                at = datetime.fromisoformat(line["time"]).astimezone(UTC) + ahead
                streams.setdefault(stream, []).append((int(at.timestamp() * 1000), line["text"]))
        for stream, events in streams.items():
            with suppress(Refusal):  # a role that may not write logs leaves none
                self._emulator.logs.put(GROUP.format(endpoint=endpoint.name), stream, events, _role(endpoint))

    def _let_sleep(self, endpoint: Endpoint, variant: Variant) -> None:
        provisioned = variant.plan.provisioned
        with variant.lock:
            if (
                variant.deployment
                and variant.current_count
                and not provisioned
                and not endpoint.routes.under_way(variant)
            ):
                self._endpoints.fleets.sleep(endpoint, variant)


def _stream(endpoint: Endpoint, source: str) -> str:
    """The stream of a source of the host's, `<variant>/<instance>`; empty for the gateway's own words."""
    deployment, _, replica = source.rpartition(".")
    variant = deployment.rsplit("-", 2)[0]
    if not replica.startswith("replica-") or not variant:
        return ""
    return f"{variant}/{instance(endpoint.name, deployment, replica)}"


def instance(endpoint: str, deployment: str, replica: str) -> str:
    """The id of an instance, the same for as long as it is the same."""
    number = uuid5(NAMESPACE_URL, f"{endpoint}/{deployment}/{replica}").hex[:17]
    return f"i-{number}"


def _role(endpoint: Endpoint) -> str:
    return next((variant.container.role for variant in endpoint.fleets), "")
