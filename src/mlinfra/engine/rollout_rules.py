"""When a rollout goes forward, stays or goes back: figures in, a verdict with its reason out. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import Rule
from mlinfra.engine.traffic import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mlinfra.contract.health import Health
    from mlinfra.contract.requests import Document


@dataclass(frozen=True)
class Policy:
    """How a rollout proceeds. `steps` are percents that end with 100, `bake` the seconds that each one lasts.

    `min_requests` gates a step forward; `enough` is what a rule needs before it may send a rollout back.
    """

    steps: tuple[int, ...] = (WHOLE,)
    bake: float = 0.0
    min_requests: int = 0
    on_no_data: str = "hold"
    rules: tuple[Rule, ...] = ()
    enough: int = 50

    @property
    def needs_data(self) -> bool:
        """Whether it asks for any figure at all."""
        return bool(self.rules) or self.min_requests > 0

    @property
    def immediate(self) -> bool:
        """Whether a step is over as soon as it is reached."""
        return self.bake <= 0 and not self.needs_data

    def as_document(self) -> Document:
        """The record in the store."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Document) -> Policy:
        """The policy that `as_document` wrote."""
        rules = tuple(Rule(**rule) for rule in document["rules"])
        return cls(**{**document, "steps": tuple(document["steps"]), "rules": rules})


@dataclass(frozen=True)
class Sample:
    """How one new deployment does: since the step began, and in the newest metric period if that is worth a look."""

    total: Health
    latest: Health | None = None


class Course(StrEnum):
    """Where a rollout goes next."""

    FORWARD = "forward"
    BAKE = "bake"
    HOLD = "hold"
    BACK = "back"


@dataclass(frozen=True)
class Verdict:
    """A course and the figures that led to it, in words."""

    course: Course
    reason: str


def judge(policy: Policy, samples: Mapping[str, Sample], *, baked: bool, last: bool) -> Verdict:
    """What the figures say. A broken rule counts at any time, everything else when the step has baked.

    Too few requests never hold the last step: all traffic is there, so waiting would spare nobody anything. But no
    step is taken, nor the last one ended, on figures that break a rule and are too few to go back for.
    """
    for name, sample in samples.items():
        for health in filter(None, (sample.total, sample.latest)):
            broken = breach(policy, health)
            if broken:
                return Verdict(Course.BACK, f"{name}: {broken}")
    if not baked:
        return Verdict(Course.BAKE, _progress(samples))
    short = [
        f"{name}: {sample.total.requests} of the {_wanted(policy)} requests that a step forward asks for"
        for name, sample in samples.items()
        if policy.needs_data and sample.total.requests < _wanted(policy)
    ]
    course = _WITHOUT_DATA[policy.on_no_data]
    if short and not (last and course is Course.HOLD):
        return Verdict(course, "; ".join(short))
    doubts = [f"{name}: {doubt}" for name, sample in samples.items() if (doubt := _broken(policy, sample.total))]
    if doubts:
        return Verdict(Course.HOLD, f"{'; '.join(doubts)}; {policy.enough} requests decide")
    return Verdict(Course.FORWARD, _progress(samples))


def breach(policy: Policy, health: Health) -> str:
    """The first rule that these figures break, in words; empty when none, or when there are too few requests."""
    return _broken(policy, health) if health.requests >= policy.enough else ""


def _broken(policy: Policy, health: Health) -> str:
    """As `breach`, however few requests there are."""
    for rule in policy.rules:
        measure = METRICS[rule.metric]
        value = measure.value(health)
        if value is not None and value > rule.above:
            return (
                f"{measure.title} is {measure.show(value)}, allowed is {measure.show(rule.above)} "
                f"({health.requests} requests, {health.errors} errors)"
            )
    return ""


def has_baked(
    policy: Policy, samples: Mapping[str, Sample], since: datetime, now: datetime, *, period: float, delay: float
) -> bool:
    """Whether the bake is over and its figures are in.

    A platform without figures for a deployment cannot say how far they reach; then the time until they would have
    shown decides.
    """
    ends = since + timedelta(seconds=policy.bake)
    if not policy.needs_data:
        return now >= ends
    if samples and all(sample.total.as_of >= ends for sample in samples.values()):
        return True
    return now >= ends + timedelta(seconds=period + delay)


def tell(health: Health) -> str:
    """Figures in words, for progress and records."""
    parts = [f"{health.requests} requests", f"{health.errors} errors"]
    parts += [f"{health.rejected} rejected"] if health.rejected else []
    parts += [f"p99 {_seconds(health.p99)}"] if health.p99 is not None else []
    return ", ".join(parts)


@dataclass(frozen=True)
class Metric:
    """How a figure is read off a deployment's health and shown."""

    title: str
    value: Callable[[Health], float | None]
    show: Callable[[float], str]


def _progress(samples: Mapping[str, Sample]) -> str:
    return "; ".join(f"{name}: {tell(sample.total)}" for name, sample in samples.items())


def _wanted(policy: Policy) -> int:
    """A deployment that nobody asked has proved nothing, whatever the minimum."""
    return max(1, policy.min_requests)


def _rejected_rate(health: Health) -> float | None:
    return health.rejected / health.requests if health.requests else None


def _share(value: float) -> str:
    return f"{value * WHOLE:.3g} %"


def _seconds(value: float) -> str:
    return f"{value * 1000:.4g} ms"


METRICS: dict[str, Metric] = {
    "error_rate": Metric("the error rate", lambda health: health.error_rate, _share),
    "rejected_rate": Metric("the share of rejected requests", _rejected_rate, _share),
    "p50": Metric("the median latency", lambda health: health.p50, _seconds),
    "p99": Metric("the 99th percentile of latency", lambda health: health.p99, _seconds),
}

_WITHOUT_DATA = {"hold": Course.HOLD, "advance": Course.FORWARD, "rollback": Course.BACK}
