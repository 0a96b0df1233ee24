"""Autoscale settings on deployments, acted upon: how many instances the last minutes of a metric want.

After "Understand autoscale settings": it scales out where any rule says so and in where all rules that scale in do,
never so far that a rule would scale out again; it keeps the number between the profile's bounds, and sets the default
where there are no metrics and fewer instances; a rule waits for its cool-down since the last change.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.monitoring.watching import COMPARISONS, triggered_by
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint
    from mlinfra.emulator.azure.monitoring.shapes import AutoscaleSetting, Profile, ScaleAction, ScaleRule

_WHOLE = 100.0
DIFFERENCES = (
    "only online deployments are scaled; schedules, predictions and notifications are kept and not acted upon",
    "metrics are looked at once a virtual minute",
)


class Autoscaling:
    """Looks at the settings of deployments."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._changed: dict[str, float] = {}  # deployment id -> the clock's second of the last change

    def look(self, setting: AutoscaleSetting) -> None:
        """Change the number of instances that a setting wants changed."""
        found = self._target(setting)
        profile = next((each for each in setting.profiles if not (each.fixed_date or each.recurrence)), None)
        if found is None or profile is None or not setting.enabled:
            return
        endpoint, deployment = found
        wanted = self._wanted(deployment, profile)
        if wanted != deployment.wanted and self._emulator.endpoints.managed.autoscale(endpoint, deployment, wanted):
            self._changed[deployment.id] = self._emulator.clock.monotonic()

    def _target(self, setting: AutoscaleSetting) -> tuple[Endpoint, Deployment] | None:
        """The deployment that a setting is about; None where there is none that serves."""
        target = self._emulator.arm.routes.resource_id(setting.target_resource_uri or "")
        try:
            endpoint, deployment = self._emulator.endpoints.managed.get(target)
        except Refusal:
            return None
        return (endpoint, deployment) if deployment.takes_traffic else None

    def _wanted(self, deployment: Deployment, profile: Profile) -> int:
        present, bounds = deployment.wanted, profile.capacity
        values = {id(rule): self._value(rule, present) for rule in profile.rules}
        number = present
        if profile.rules and all(value is None for value in values.values()):
            number = max(present, bounds.default)
        else:
            out = [rule for rule in profile.rules if rule.scale_action.direction == "Increase"]
            inward = [rule for rule in profile.rules if rule.scale_action.direction == "Decrease"]
            grown = [self._after(rule.scale_action, deployment) for rule in out if _holds(rule, values[id(rule)])]
            if grown:
                number = max(grown)
            elif inward and all(_holds(rule, values[id(rule)]) for rule in inward):
                number = max(self._after(rule.scale_action, deployment) for rule in inward)
                if any(_would_hold(rule, values[id(rule)], present, number) for rule in out):
                    number = present
        return min(max(number, bounds.minimum), bounds.maximum)

    def _value(self, rule: ScaleRule, instances: int) -> float | None:
        found = triggered_by(self._emulator.metrics, rule.metric_trigger, self._emulator.clock.now())
        divided = found is not None and rule.metric_trigger.divide_per_instance
        return found / max(1, instances) if divided and found is not None else found

    def _after(self, action: ScaleAction, deployment: Deployment) -> int:
        """How many instances there are after an action; as many as now while it cools down."""
        present = deployment.wanted
        since = self._emulator.clock.monotonic() - self._changed.get(deployment.id, float("-inf"))
        if since < action.cooldown.total_seconds():
            return present
        if action.type == "ExactCount":
            return action.value
        step = ceil(present * action.value / _WHOLE) if action.type == "PercentChangeCount" else action.value
        return present + step if action.direction == "Increase" else present - step


def _holds(rule: ScaleRule, value: float | None) -> bool:
    trigger = rule.metric_trigger
    return value is not None and COMPARISONS[trigger.operator](value, trigger.threshold)


def _would_hold(rule: ScaleRule, value: float | None, present: int, fewer: int) -> bool:
    """Whether a rule would hold, if what each instance has now were shared by fewer."""
    return value is not None and _holds(rule, value * present / max(1, fewer))
