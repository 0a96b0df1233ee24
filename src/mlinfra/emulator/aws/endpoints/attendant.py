"""What goes on beside the calls: logs and metrics published, captures written, leases renewed, idle servers ended."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5
from weakref import WeakKeyDictionary

from mlinfra.emulator.aws.endpoints.utilisation import Utilisation
from mlinfra.emulator.calls import Refusal
from mlinfra.errors import MlinfraError, NotFound

if TYPE_CHECKING:
    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.endpoints import Endpoints
    from mlinfra.emulator.aws.endpoints.records import Endpoint, Variant

_log = logging.getLogger(__name__)

GROUP = "/aws/sagemaker/Endpoints/{endpoint}"
_PAUSE = 0.5  # real s between two rounds
_RENEWAL = 120.0  # real s between two renewals of a lease
_IDLE = 300.0  # virtual s until a serverless variant that nobody asks has no server any more
_MINUTE = 60.0  # virtual s between two looks at what scaling policies want and servers use
_PAGE = 1000


class Attendant:
    """One thread for all endpoints."""

    def __init__(self, emulator: AwsEmulator, endpoints: Endpoints, stop: threading.Event) -> None:
        self._emulator = emulator
        self._endpoints = endpoints
        self._stop = stop
        self._carrying = threading.Lock()
        self._tokens: WeakKeyDictionary[Endpoint, str] = WeakKeyDictionary()
        self._renewed: WeakKeyDictionary[Endpoint, float] = WeakKeyDictionary()
        self._flushed = 0.0
        self._scaled = 0.0
        self._utilisation = Utilisation(emulator.cloudwatch.put)
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, whose stop event is set. Blocks until it has."""
        self._thread.join()

    def wait_until_gone(self, patience: float) -> None:
        """Wait until nothing of any endpoint is left on the host; what is left after so many real s is killed."""
        end = time.monotonic() + patience
        for endpoint in self._endpoints.items():
            with suppress(MlinfraError):
                while not endpoint.hosting.is_gone and time.monotonic() < end:
                    time.sleep(_PAUSE / 5)
            endpoint.hosting.kill()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            try:
                self._round()
            except Exception:  # noqa: BLE001  one bad round must not end all others
                _log.exception("a round of the endpoints' attendant failed")

    def _round(self) -> None:
        self._endpoints.publish()
        now = self._emulator.clock.monotonic()
        for endpoint in self._endpoints.items():
            self.carry_logs(endpoint)
            self._renew(endpoint)
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

    def carry_logs(self, endpoint: Endpoint) -> None:
        """Carry the servers' lines to the log group of the endpoint, one stream for each instance."""
        with self._carrying, suppress(NotFound):  # it is not there yet, or gone meanwhile
            while self._carry(endpoint) == _PAGE:
                pass

    def _carry(self, endpoint: Endpoint) -> int:
        """Carry a page of lines; how many it had."""
        page = endpoint.hosting.lines(self._tokens.get(endpoint))
        self._tokens[endpoint] = page["token"]
        streams: dict[str, list[tuple[int, str]]] = {}
        ahead = self._emulator.clock.ahead()
        for line in page["lines"]:
            stream = _stream(endpoint, line["source"])
            if stream:
                at = datetime.fromisoformat(line["time"]).astimezone(UTC) + ahead
                streams.setdefault(stream, []).append((int(at.timestamp() * 1000), line["text"]))
        for stream, events in streams.items():
            with suppress(Refusal):  # a role that may not write logs leaves none
                self._emulator.logs.put(GROUP.format(endpoint=endpoint.name), stream, events, _role(endpoint))
        return len(page["lines"])

    def _renew(self, endpoint: Endpoint) -> None:
        now = time.monotonic()
        if now - self._renewed.setdefault(endpoint, now) > _RENEWAL:
            self._renewed[endpoint] = now
            endpoint.hosting.attend()

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
