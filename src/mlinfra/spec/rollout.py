"""How a new version takes over: step by step, watched, and back again when it is worse."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlinfra.spec import defaults
from mlinfra.spec.base import Check, Model
from mlinfra.spec.findings import Finding
from mlinfra.spec.limits import STEPS
from mlinfra.spec.quantities import Bound, Duration, Percent, Share


def _unit(rule: "RollbackRule") -> Iterator[Finding]:
    expected, allowed = (Percent, "1%") if rule.metric == "error_rate" else (Duration, "500ms")
    if not isinstance(rule.above, expected):
        todo = f"write {rule.metric} as {allowed}"
        yield Finding(("above",), f"the wrong unit for {rule.metric}", allowed, todo, str(rule.above), has_value=True)


def _steps(rollout: "Rollout") -> Iterator[Finding]:
    if rollout.strategy == "all_at_once" and rollout.steps != defaults.ROLLOUT_STEPS:
        todo = "remove steps, or use strategy: canary"
        yield Finding(("steps",), "steps without a canary", "strategy: canary", todo, at_key=True)
    for index, (before, after) in enumerate(pairwise((Share(0), *rollout.steps))):
        if after <= before:
            loc = ("steps", index)
            yield Finding(loc, "does not increase", f"more than {before}", "sort the steps", str(after), has_value=True)
    if rollout.steps[-1] != Share(100):
        loc = ("steps", len(rollout.steps) - 1)
        last = str(rollout.steps[-1])
        yield Finding(loc, "the last step leaves a rest", "100% at the end", "add 100%", last, has_value=True)


class RollbackRule(Model):
    """One reason to go back."""

    CHECKS: ClassVar[tuple[Check, ...]] = (Check(("metric", "above"), _unit),)

    metric: Literal["error_rate", "p99"] = Field(
        description="error_rate: 5xx answers, time-outs and lost connections. p99: the latency that 1 in 100 exceeds."
    )
    above: Bound = Field(description="The bound: a percentage for error_rate, a length of time for p99.")


class Rollout(Model):
    """How a new version takes over the traffic."""

    CHECKS: ClassVar[tuple[Check, ...]] = (Check(("strategy", "steps"), _steps),)

    strategy: Literal["canary", "all_at_once"] = Field(
        default="canary", description="canary: step by step. all_at_once: all traffic as soon as the version is ready."
    )
    steps: Annotated[tuple[Share, ...], Field(strict=False, min_length=1, max_length=STEPS)] = Field(
        default=defaults.ROLLOUT_STEPS, description="The new version's share at each step; increasing, 100% at the end."
    )
    bake: Duration = Field(default=defaults.BAKE, description="How long each step is watched at least.")
    min_requests: int = Field(
        default=defaults.STEP_REQUESTS,
        ge=0,
        description=(
            "Requests that the new version must have answered before the next step. "
            f"A rollback needs {defaults.ROLLBACK_REQUESTS}, whatever stands here."
        ),
    )
    on_no_data: Literal["hold", "advance", "rollback"] = Field(
        default="hold", description="What to do when a step has baked without enough requests."
    )
    rollback_on: Annotated[tuple[RollbackRule, ...], Field(strict=False)] = Field(
        default_factory=lambda: (RollbackRule(metric="error_rate", above=defaults.ROLLBACK_ERROR_RATE),),
        description="Go back as soon as one of these holds.",
    )
    watch: Literal["auto", "platform", "process"] = Field(
        default="auto",
        description=(
            "Who watches. platform: the platform's own alarms, refused where they cannot express this rollout. For "
            "each rule of rollback_on the environment names one or the kit makes one, which needs "
            f"{defaults.ROLLBACK_REQUESTS} requests in one period of the platform's figures. "
            "process: the command that deploys. auto: the platform in staging and prod where it can."
        ),
    )
