"""What the emulator knows of an endpoint: what serves, what is on its way, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.hosting.routes import Route, Routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mlinfra.emulator.aws.endpoints.asynchronous import Backlog
    from mlinfra.emulator.aws.endpoints.capture import Capture
    from mlinfra.emulator.aws.endpoints.containers import Container
    from mlinfra.emulator.aws.endpoints.metrics import Meter
    from mlinfra.emulator.aws.endpoints.plans import VariantPlan
    from mlinfra.emulator.hosting.gateway import Gateway
    from mlinfra.emulator.hosting.hosting import Hosting
    from mlinfra.emulator.hosting.split import Split

CREATING, IN_SERVICE, UPDATING, ROLLING_BACK = "Creating", "InService", "Updating", "RollingBack"
DELETING, FAILED, ROLLBACK_FAILED = "Deleting", "Failed", "UpdateRollbackFailed"
ANSWERING = frozenset({IN_SERVICE, UPDATING, ROLLING_BACK, ROLLBACK_FAILED})
BUSY = frozenset({CREATING, UPDATING, ROLLING_BACK, DELETING})
LONGEST_REASON = 1024  # characters, by the shape FailureReason


@dataclass(eq=False)
class Variant:
    """One variant of one deployment of a configuration, `config`, with the servers that are its own: a fleet.

    `deployment` names them on the host; empty while there are none, as for a serverless variant that sleeps.
    """

    plan: VariantPlan
    container: Container
    config: str
    generation: int
    resolved: datetime  # when the image was resolved
    capture: Capture | None = None
    shadow: Shadow | None = None
    current_weight: float = 0.0
    current_count: int = 0
    status: tuple[str, str, datetime] | None = None  # (status, message, since)
    deployment: str = ""
    awakenings: int = 0
    asked: float = 0.0  # the clock's second of the last request
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """The variant's name."""
        return self.plan.name

    @property
    def is_serverless(self) -> bool:
        """Whether it scales with the requests, from nothing."""
        return self.plan.serverless is not None

    def weigh(self, weight: float) -> None:
        """Ask for another weight."""
        self.plan = replace(self.plan, weight=weight)


@dataclass(frozen=True)
class Shadow:
    """A variant that gets copies of some requests. `sample` is asked under `lock`."""

    variant: Variant
    sample: Split[bool]
    lock: RLock = field(default_factory=RLock)

    def gets_the_next(self) -> bool:
        """Whether the next request is to be copied."""
        with self.lock:
            return bool(self.sample.next())


@dataclass(eq=False)
class Generation:
    """A configuration as it was deployed. Deleting or changing the configuration does not touch it."""

    config_name: str
    config: Mapping[str, Any]
    number: int
    since: datetime
    variants: dict[str, Variant]
    shadows: dict[str, Variant]

    @property
    def fleets(self) -> list[Variant]:
        """Every variant, in production or in the shadow."""
        return [*self.variants.values(), *self.shadows.values()]

    @property
    def capture(self) -> Capture | None:
        """Where its exchanges are captured."""
        return next((variant.capture for variant in self.variants.values()), None)

    @property
    def is_asynchronous(self) -> bool:
        """Whether it is asked through InvokeEndpointAsync alone."""
        return "AsyncInferenceConfig" in self.config


@dataclass(eq=False)
class Endpoint:
    """One endpoint. `lock` guards what a procedure and a call may change at once."""

    name: str
    arn: str
    created: datetime
    modified: datetime
    hosting: Hosting
    gateway: Gateway
    meter: Meter
    config_name: str
    status: str = CREATING
    reason: str = ""
    serving: Generation | None = None
    pending: Generation | None = None
    stranded: list[Generation] = field(default_factory=list)  # new ones of updates whose rollback failed
    last_deployment: Mapping[str, Any] | None = None
    backlog: Backlog | None = None
    routes: Routes[Variant] = field(default_factory=Routes)
    lock: RLock = field(default_factory=RLock)
    generations: int = 0

    def become(self, status: str, at: datetime, reason: str = "") -> None:
        """Enter a status."""
        with self.lock:
            self.status, self.modified, self.reason = status, at, reason[:LONGEST_REASON]

    @property
    def generations_at_work(self) -> list[Generation]:
        """What serves, is on its way, or was left by a failed rollback. Without a lock: endpoints ask each other."""
        return [generation for generation in (self.serving, self.pending, *self.stranded) if generation]

    @property
    def fleets(self) -> list[Variant]:
        """Every variant that may have servers."""
        return [variant for generation in self.generations_at_work for variant in generation.fleets]

    def flush(self) -> None:
        """Write what has been captured."""
        for generation in self.generations_at_work:
            if generation.capture:
                generation.capture.flush()

    def close(self) -> None:
        """Take no more requests, write what has been captured, end the servers."""
        self.routes.replace([])
        if self.backlog:
            self.backlog.close()
        self.gateway.close()
        self.flush()
        self.hosting.close()


def mixed(
    old: Generation | None, new: Generation | None, shares: Mapping[str, float] | None = None
) -> list[Route[Variant]]:
    """The routes while the new generation's variants have these shares of the traffic, 0 to 1, and the old the rest.

    A variant that only the old generation has keeps what no new one has taken.
    """
    shares = shares or {}
    most = max(shares.values(), default=0.0)
    routes = _routes(old, {name: 1 - shares.get(name, most) for name in (old.variants if old else ())})
    return routes + _routes(new, {name: shares.get(name, 0.0) for name in (new.variants if new else ())})


def _routes(generation: Generation | None, shares: Mapping[str, float]) -> list[Route[Variant]]:
    variants: Sequence[Variant] = list(generation.variants.values()) if generation else []
    total = sum(variant.plan.weight for variant in variants) or 1.0
    return [
        Route(variant.name, variant, shares[variant.name] * variant.plan.weight / total, shares[variant.name])
        for variant in variants
    ]
