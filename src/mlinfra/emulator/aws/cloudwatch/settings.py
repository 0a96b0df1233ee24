"""The settings of an alarm, as PutMetricAlarm takes them: checked, and read as queries for its metric."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.cloudwatch import alarms
from mlinfra.emulator.aws.cloudwatch import series as metrics
from mlinfra.emulator.aws.cloudwatch.series import invalid
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.metrics import Series

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_EMULATED = ("EvaluationCriteria", "ThresholdMetricId", "EvaluationWindow", "WarmUpConfiguration")
_MOST_METRICS = 10  # that an alarm's expression builds on
_ONLY = "m"  # the Id of the one query of an alarm on a metric


def check(body: Mapping[str, Any]) -> None:
    """Refuse what CloudWatch refuses, and what is not emulated."""
    for member in _NOT_EMULATED:
        if member in body:
            raise refusals.not_emulated(f"{member} of an alarm")
    if body.get("ComparisonOperator") not in alarms.BREACHES:
        raise refusals.not_emulated("an alarm on anomaly detection")
    if "Threshold" not in body:
        raise invalid("Threshold is required for an alarm on a static threshold.", "ValidationError")
    if ("MetricName" in body) == ("Metrics" in body):
        raise invalid("Exactly one of MetricName and Metrics is needed.", "ValidationError")
    if body.get("TreatMissingData", "missing") not in alarms.MISSING:
        raise invalid(f"TreatMissingData must be one of {', '.join(alarms.MISSING)}", "ValidationError")
    if body.get("DatapointsToAlarm", 1) > body["EvaluationPeriods"]:
        raise invalid("DatapointsToAlarm must be at most EvaluationPeriods", "ValidationError")
    _check_watched(body)


def _check_watched(body: Mapping[str, Any]) -> None:
    if "MetricName" in body:
        if ("Statistic" in body) == ("ExtendedStatistic" in body):
            raise invalid("Exactly one of Statistic and ExtendedStatistic is needed.", "InvalidParameterCombination")
        if "Period" not in body or "Namespace" not in body:
            raise invalid("Namespace and Period are required for an alarm on a metric.", "ValidationError")
        metrics.check_period(body["Period"])
        metrics.check_statistic(body.get("Statistic") or body["ExtendedStatistic"])
        return
    returned = [query["Id"] for query in body["Metrics"] if query.get("ReturnData", True)]
    if len(returned) != 1:
        raise invalid("Exactly one element of the metrics list should return data.", "ValidationError")
    if not any("MetricStat" in query or metrics.is_insight(query) for query in body["Metrics"]):
        raise invalid("An expression needs at least one metric.", "ValidationError")
    if sum("MetricStat" in query for query in body["Metrics"]) > _MOST_METRICS:
        raise invalid(f"An alarm's expression can hold at most {_MOST_METRICS} metrics.", "ValidationError")
    moment = datetime.fromtimestamp(0, UTC)
    metrics.values(Series(Clock()), body["Metrics"], moment, moment)  # for its refusals


def queries(alarm: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an alarm watches, as queries."""
    if "Metrics" in alarm:
        return list(alarm["Metrics"])
    stat = {
        "Metric": {member: alarm[member] for member in ("Namespace", "MetricName", "Dimensions") if member in alarm},
        "Period": alarm["Period"],
        "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"],
    }
    return [{"Id": _ONLY, "MetricStat": stat | ({"Unit": alarm["Unit"]} if "Unit" in alarm else {})}]


def periods(alarm: Mapping[str, Any]) -> list[int]:
    """The periods of what an alarm's expression builds on."""
    return [
        query["MetricStat"]["Period"] if "MetricStat" in query else query["Period"]
        for query in alarm.get("Metrics", ())
        if "MetricStat" in query or metrics.is_insight(query)
    ]


def watched(alarm: Mapping[str, Any]) -> str:
    """The Id of the query that decides."""
    return next((str(query["Id"]) for query in alarm.get("Metrics", ()) if query.get("ReturnData", True)), _ONLY)
