"""What happens to an endpoint after a call has been answered: created, updated, resized, rolled back, deleted.

Each procedure runs in a thread of its own and walks the statuses that SageMaker shows. What answers is changed only
through the routes, and a fleet is ended only when no route leads to it and its last request is answered, so an update
fails no request.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.endpoints import records
from mlinfra.emulator.aws.endpoints.records import mixed
from mlinfra.emulator.hosting.waiting import Deadline, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mlinfra.emulator.aws.endpoints.fleets import Fleets
    from mlinfra.emulator.aws.endpoints.plans import VariantPlan
    from mlinfra.emulator.aws.endpoints.records import Endpoint, Generation, Variant
    from mlinfra.emulator.aws.endpoints.strategy import Step, Strategy
    from mlinfra.emulator.delays import Delays

# Virtual seconds. The service takes minutes to launch instances; the proportions are about its own.
DELAYS: Mapping[str, float] = {
    "endpoint.Creating": 2.0,
    "endpoint.Updating": 2.0,
    "endpoint.Resizing": 1.0,
    "endpoint.ActivatingTraffic": 0.5,
    "endpoint.RollingBack": 0.5,
    "endpoint.Deleting": 0.5,
    "endpoint.CaptureFlush": 30.0,
}
_TRIPPED = "Alarm(s) {alarms} went into ALARM state during the deployment; it was rolled back."
_TOO_LONG = "The deployment did not complete within MaximumExecutionTimeoutInSeconds; it was rolled back."
_NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using "
    "a different ML instance type or after some time."
)
_BAKED = ""


class Procedures:
    """Every method blocks until its end state is reached. Raises Stopped when the emulator stops."""

    def __init__(
        self,
        waiting: Waiting,
        delays: Delays,
        fleets: Fleets,
        raised: Callable[[str, datetime], bool],
        has_capacity: Callable[[Endpoint], bool],
    ) -> None:
        """`raised` tells whether an alarm is raised, or was since a moment; `has_capacity` of instances to be had."""
        self._waiting = waiting
        self._clock = waiting.clock
        self._delays = delays
        self._fleets = fleets
        self._raised = raised
        self._has_capacity = has_capacity

    def create(self, endpoint: Endpoint, generation: Generation) -> None:
        """From Creating to InService or Failed."""
        endpoint.hosting.open()
        self._mark(generation.fleets, "Creating")
        self._waiting.sleep(self._delays.seconds("endpoint.Creating"))
        problem = self._bring_up(endpoint, {variant: _first(variant) for variant in generation.fleets})
        if problem:
            self._fleets.retire(endpoint, generation.fleets)
            endpoint.pending = None
            endpoint.become(records.FAILED, self._clock.now(), problem)
            return
        self._take_over(endpoint, generation)
        endpoint.become(records.IN_SERVICE, self._clock.now())

    def update(self, endpoint: Endpoint, generation: Generation, strategy: Strategy) -> None:
        """From Updating to InService with the new configuration; or through RollingBack, with the old one."""
        old = [each for each in endpoint.generations_at_work if each is not generation]
        problem = self._shift(endpoint, generation, strategy)
        if problem:
            self._roll_back(endpoint, generation, problem, rolling=strategy.rolling)
            return
        self._waiting.sleep(strategy.termination_wait)
        for each in old:
            self._retire(endpoint, each)
        self._take_over(endpoint, generation)
        endpoint.become(records.IN_SERVICE, self._clock.now())

    def resize(
        self, endpoint: Endpoint, weights: Mapping[str, float], counts: Mapping[str, int], *, reason: str = ""
    ) -> None:
        """From Updating to InService with other weights and numbers of instances, or with those of before.

        The wish is already written into the variants' plans; `weights` and `counts` hold what was before.
        """
        generation = endpoint.serving
        if generation is None:
            return
        self._waiting.sleep(self._delays.seconds("endpoint.Resizing"))
        resized = {generation.variants[name]: generation.variants[name].plan.count for name in counts}
        problem = self._resized(endpoint, resized)
        if problem and not reason:
            endpoint.become(records.ROLLING_BACK, self._clock.now(), problem)
            for name, weight in weights.items():
                generation.variants[name].weigh(weight)
            for name, count in counts.items():
                generation.variants[name].plan = generation.variants[name].plan.resized(count)
            self.resize(endpoint, weights, counts, reason=problem)
            return
        self._weigh(endpoint)
        self._mark(generation.fleets, "")
        endpoint.become(records.IN_SERVICE, self._clock.now(), reason)

    def delete(self, endpoint: Endpoint) -> None:
        """End everything of an endpoint whose status is Deleting."""
        endpoint.routes.replace([])
        self._waiting.sleep(self._delays.seconds("endpoint.Deleting"))
        self._fleets.retire(endpoint, endpoint.fleets)
        endpoint.hosting.close()
        deadline = Deadline(self._clock, 0.0)
        self._waiting.until(lambda: "gone" if endpoint.hosting.is_gone else None, deadline, "")

    # The parts of an update

    def _shift(self, endpoint: Endpoint, generation: Generation, strategy: Strategy) -> str:
        """Bring the new fleets up and the traffic to them, step by step. Returns why it cannot go on."""
        began = self._clock.now()
        end = self._clock.monotonic() + strategy.timeout

        def watch() -> str | None:
            tripped = [alarm for alarm in strategy.alarms if self._raised(alarm, began)]
            if tripped:
                return _TRIPPED.format(alarms=", ".join(tripped))
            return _TOO_LONG if self._clock.monotonic() > end else None

        self._mark(generation.fleets, "Creating")
        self._waiting.sleep(self._delays.seconds("endpoint.Updating"))
        if not strategy.rolling:
            problem = self._bring_up(endpoint, {variant: _first(variant) for variant in generation.fleets}, watch)
            if problem:
                return problem
        for step in strategy.steps:
            problem = self._step(endpoint, generation, step, watch, rolling=strategy.rolling)
            if problem:
                return problem
        return ""

    def _step(
        self, endpoint: Endpoint, generation: Generation, step: Step, watch: Callable[[], str | None], *, rolling: bool
    ) -> str:
        if rolling:
            problem = self._bring_up(endpoint, _batch(generation, step.shares), watch)
            if problem:
                return problem
        self._mark(generation.fleets, "ActivatingTraffic")
        self._waiting.sleep(self._delays.seconds("endpoint.ActivatingTraffic"))
        endpoint.routes.replace(mixed(endpoint.serving, generation, step.shares))
        for variant in generation.variants.values():
            variant.current_weight = variant.plan.weight * step.shares[variant.name]
        self._mark(generation.fleets, "Baking")
        problem = self._waiting.until(watch, Deadline(self._clock, step.bake, least=0.0), _BAKED)
        if rolling and not problem and endpoint.serving:
            self._shrink(endpoint, endpoint.serving, step.shares)
        return problem

    def _bring_up(
        self, endpoint: Endpoint, counts: Mapping[Variant, int], watch: Callable[[], str | None] = lambda: None
    ) -> str:
        """Start servers, or more of them, and wait for all of them."""
        if any(counts.values()) and not self._has_capacity(endpoint):
            return _NO_CAPACITY
        for variant, count in counts.items():
            problem = self._fleets.resize(endpoint, variant, count)
            if problem:
                return problem
        return self._fleets.ready(endpoint, counts, watch)

    def _shrink(self, endpoint: Endpoint, old: Generation, shares: Mapping[str, float]) -> None:
        """Take down of the old fleets what the new ones have taken over. The last batch goes when all is done."""
        for variant in old.variants.values():
            left = variant.plan.count - ceil(variant.plan.count * shares.get(variant.name, 0.0) - 1e-9)
            if 0 < left < variant.current_count:
                self._fleets.resize(endpoint, variant, left)

    def _roll_back(self, endpoint: Endpoint, generation: Generation, problem: str, *, rolling: bool) -> None:
        """Give the old configuration all the traffic again and end the new fleets."""
        endpoint.become(records.ROLLING_BACK, self._clock.now(), problem)
        old = endpoint.serving
        if rolling and old:
            again = self._bring_up(endpoint, {variant: variant.plan.count for variant in old.variants.values()})
            if again:
                with endpoint.lock:
                    endpoint.stranded.append(generation)
                    endpoint.pending = None
                endpoint.become(records.ROLLBACK_FAILED, self._clock.now(), f"{problem} {again}")
                return
        endpoint.routes.replace(mixed(old, None))
        self._waiting.sleep(self._delays.seconds("endpoint.RollingBack"))
        self._retire(endpoint, generation)
        with endpoint.lock:
            endpoint.pending = None
        endpoint.become(records.IN_SERVICE, self._clock.now(), problem)

    def _take_over(self, endpoint: Endpoint, generation: Generation) -> None:
        """The new configuration is the endpoint's from here on."""
        with endpoint.lock:
            endpoint.serving, endpoint.pending = generation, None
            endpoint.stranded.clear()
            endpoint.config_name = generation.config_name
            endpoint.meter.configure(generation.config.get("MetricsConfig"))
        self._weigh(endpoint)
        self._mark(generation.fleets, "")

    def _retire(self, endpoint: Endpoint, generation: Generation) -> None:
        """End servers to which no request goes any more."""
        self._mark(generation.fleets, "Deleting")
        self._fleets.retire(endpoint, generation.fleets)
        if generation.capture:
            generation.capture.flush()

    def _weigh(self, endpoint: Endpoint) -> None:
        """Let the traffic follow the weights that are wanted."""
        endpoint.routes.replace(mixed(endpoint.serving, None))
        for variant in endpoint.serving.variants.values() if endpoint.serving else ():
            variant.current_weight = variant.plan.weight

    def _resized(self, endpoint: Endpoint, counts: Mapping[Variant, int]) -> str:
        self._mark(counts, "Updating")
        return self._bring_up(endpoint, counts)

    def _mark(self, variants: Mapping[Variant, int] | list[Variant], status: str) -> None:
        """Set the VariantStatus; empty: there is none any more."""
        now = self._clock.now()
        for variant in variants:
            variant.status = (status, "", now) if status else None


def _first(variant: Variant) -> int:
    """How many servers show that a variant works. A serverless one is tried with one, which sleeps when not asked."""
    plan: VariantPlan = variant.plan
    return 1 if variant.is_serverless else plan.count


def _batch(generation: Generation, shares: Mapping[str, float]) -> dict[Variant, int]:
    """How many servers a rolling step needs. Shadows come whole."""
    batch = {variant: ceil(_first(variant) * shares[variant.name] - 1e-9) for variant in generation.variants.values()}
    return batch | {variant: variant.plan.count for variant in generation.shadows.values()}
