"""The state of an alarm: from the values of its metric, how many of them breach, and what counts for missing ones.

After the documentation of PutMetricAlarm and the tables in CloudWatch's guide, "Configuring how CloudWatch alarms
treat missing data".
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

OK: State = "OK"
ALARM: State = "ALARM"
INSUFFICIENT: State = "INSUFFICIENT_DATA"

BREACHES: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
MISSING = ("breaching", "notBreaching", "ignore", "missing")
_SPARE = 2  # periods looked at beside those evaluated: the guide's tables show five for an alarm on three


@dataclass(frozen=True)
class Rule:
    """When a metric breaches, and how often it must to raise the alarm."""

    threshold: float
    comparison: str
    periods: int
    datapoints: int
    missing: str = "missing"

    @property
    def reach(self) -> int:
        """How many of the last periods are looked at."""
        return self.periods + _SPARE


@dataclass(frozen=True)
class Verdict:
    """A state and its reason."""

    state: State
    reason: str


def rule(alarm: Mapping[str, Any]) -> Rule:
    """The rule in the body of a PutMetricAlarm."""
    periods = alarm["EvaluationPeriods"]
    return Rule(
        threshold=alarm["Threshold"],
        comparison=alarm["ComparisonOperator"],
        periods=periods,
        datapoints=alarm.get("DatapointsToAlarm", periods),
        missing=alarm.get("TreatMissingData", "missing"),
    )


def judge(rule: Rule, values: Sequence[float | None], present: State) -> Verdict:
    """The state after the last periods, of which `values` holds `rule.reach`, oldest first, None where no data came.

    Enough real values count alone, the newest of them; what lacks is filled as the rule says.
    """
    real = [value for value in values if value is not None][-rule.periods :]
    breaching = sum(BREACHES[rule.comparison](value, rule.threshold) for value in real)
    lacking = rule.periods - len(real)
    if rule.missing == "breaching":
        breaching += lacking
    if breaching >= rule.datapoints:
        return Verdict(ALARM, _reason(rule, real, lacking, breaching))
    if lacking == 0 or rule.missing in {"breaching", "notBreaching"} or breaching < len(real):
        return Verdict(OK, _reason(rule, real, lacking, breaching))
    if rule.missing == "ignore":
        return Verdict(present, _reason(rule, real, lacking, breaching))
    if real:
        return Verdict(ALARM, _reason(rule, real, lacking, breaching))
    return Verdict(INSUFFICIENT, f"Insufficient Data: {rule.periods} datapoints were unknown.")


def _reason(rule: Rule, real: Sequence[float], lacking: int, breaching: int) -> str:
    values = ", ".join(f"{value:g}" for value in real)
    unknown = f" and {lacking} missing, treated as {rule.missing}," if lacking else ""
    return (
        f"Threshold Crossed: {breaching} out of the last {rule.periods} datapoints [{values}]{unknown} breach: "
        f"{rule.comparison} {rule.threshold:g} ({rule.datapoints} needed for OK -> ALARM transition)."
    )[:1023]
