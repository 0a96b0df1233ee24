"""What a deployment says of requests and probes, with the defaults that the service has for what it leaves out.

After OnlineRequestSettings and ProbeSettings in the generated models, and RequestSettings and ProbeSettings in the
"Managed online deployment YAML schema", which tells defaults and bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints import durations
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_REQUEST = 180.0  # s
_AT_ONCE = 2  # so many times the concurrency may be pending at once; the troubleshooting guide's 429
_REQUESTS = "properties.requestSettings"


@dataclass(frozen=True)
class Requests:
    """How many requests an instance handles at once, and how many seconds each may take, its waiting included."""

    concurrency: int = 1
    timeout: float = 5.0
    queue_wait: float = 0.5  # deprecated: told, and without meaning for managed endpoints

    def room(self, instances: int) -> int:
        """How many requests so many instances handle at once."""
        return self.concurrency * max(1, instances)

    def most(self, instances: int) -> int:
        """How many may be pending, those being handled included; every further one is refused."""
        return _AT_ONCE * self.room(instances)

    def as_document(self) -> dict[str, Any]:
        """As the service tells them."""
        return {
            "maxConcurrentRequestsPerInstance": self.concurrency,
            "requestTimeout": durations.told(self.timeout),
            "maxQueueWait": durations.told(self.queue_wait),
        }


@dataclass(frozen=True)
class Probe:
    """One probe; times in seconds."""

    initial_delay: float = 10.0
    period: float = 10.0
    timeout: float = 2.0
    success: int = 1
    failure: int = 30

    @property
    def patience(self) -> float:
        """Seconds after which a container that never answered well is given up."""
        return self.initial_delay + self.period * self.failure

    def as_document(self) -> dict[str, Any]:
        """As the service tells it."""
        return {
            "initialDelay": durations.told(self.initial_delay),
            "period": durations.told(self.period),
            "timeout": durations.told(self.timeout),
            "successThreshold": self.success,
            "failureThreshold": self.failure,
        }


def requests(properties: Mapping[str, Any]) -> Requests:
    """The request settings of a deployment's properties. Refusal where they break a bound."""
    asked = properties.get("requestSettings") or {}
    usual = Requests()
    concurrency = asked.get("maxConcurrentRequestsPerInstance")
    found = Requests(
        usual.concurrency if concurrency is None else concurrency,
        durations.member(asked, "requestTimeout", usual.timeout, _REQUESTS),
        durations.member(asked, "maxQueueWait", usual.queue_wait, _REQUESTS),
    )
    if found.concurrency < 1:
        raise refusals.invalid(
            f"maxConcurrentRequestsPerInstance must be at least 1, not {found.concurrency}.",
            f"{_REQUESTS}.maxConcurrentRequestsPerInstance",
        )
    if not 0 < found.timeout <= LONGEST_REQUEST:
        told = f"requestTimeout must be above 0 and at most PT180S, not {asked['requestTimeout']}."
        raise refusals.invalid(told, f"{_REQUESTS}.requestTimeout")
    return found


def probe(properties: Mapping[str, Any], name: str) -> Probe:
    """A probe of a deployment's properties: "livenessProbe", "readinessProbe". Refusal where it breaks a bound."""
    asked = properties.get(name) or {}
    target, usual = f"properties.{name}", Probe()
    found = Probe(
        durations.member(asked, "initialDelay", usual.initial_delay, target),
        durations.member(asked, "period", usual.period, target),
        durations.member(asked, "timeout", usual.timeout, target),
        _count(asked, "successThreshold", usual.success, target),
        _count(asked, "failureThreshold", usual.failure, target),
    )
    for member, value in (("initialDelay", found.initial_delay), ("period", found.period), ("timeout", found.timeout)):
        if value < 1:
            raise refusals.invalid(f"{member} must be at least PT1S, not {asked[member]}.", f"{target}.{member}")
    if name == "livenessProbe" and found.success != 1:
        raise refusals.invalid("The successThreshold of a liveness probe must be 1.", f"{target}.successThreshold")
    return found


def _count(asked: Mapping[str, Any], name: str, usual: int, target: str) -> int:
    value = asked.get(name)
    found = usual if value is None else int(value)
    if found < 1:
        raise refusals.invalid(f"{name} must be at least 1, not {found}.", f"{target}.{name}")
    return found
