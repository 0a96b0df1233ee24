"""Alarms of a guarded change: one for each rule, over the figures of the new servers alone.

SageMaker publishes an endpoint's figures under its configuration's name as well, and shows in its guide ("Auto-rollback
configuration and monitoring") an alarm on these as the one that leaves the old fleet out. So neither do the old
version's answers hide the new one's errors, nor do its own errors take a change back. An alarm is named after the
configuration that it watches: one of an earlier change, which may be raised still, is never asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import ID_TAG
from mlinfra.contract.requests import Request
from mlinfra_aws.config import ALARMS, CLOUDWATCH, READ, overridden, tag_list
from mlinfra_aws.render.endpoint_calls import LATENCY, MICROSECONDS, SUMS, metric_query
from mlinfra_aws.render.endpoint_names import NAME_TAG, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.contract.endpoints import EndpointDesired, Rule
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_PAGE = 100
_DIGITS = 9  # behind the point: the narrowest share of a spec has six


@dataclass(frozen=True)
class Fleet:
    """The servers of one variant under one configuration."""

    endpoint: str
    variant: str
    config: str

    def query(self, step: str, metric: str, stat: str) -> Document:
        """A figure of theirs, on which expressions build."""
        dimensions = {"EndpointName": self.endpoint, "VariantName": self.variant, "EndpointConfigName": self.config}
        return {**metric_query(step, metric, stat, dimensions), "ReturnData": False}


@dataclass(frozen=True)
class Watched:
    """How a rule's figure is worked out: the last query has the value, `unit` of which make one of the rule's."""

    queries: Callable[[Fleet], list[Document]]
    value: str
    unit: float = 1.0


def reads(physical_name: str) -> Request:
    """The alarms that were made for an endpoint."""
    body: Document = {"AlarmNamePrefix": f"mlinfra{mark(physical_name)}", "MaxRecords": _PAGE}
    return Request(step="alarms", service=CLOUDWATCH, operation="DescribeAlarms", body=body, effect=False, quota=READ)


def of_rules(desired: EndpointDesired, variant: str, config: str, environment: Environment) -> tuple[Document, ...]:
    """PutMetricAlarm's bodies for the rules of the guard, over a variant's new servers: the narrowest of each metric.

    Raises:
        SpecError: the overrides do not fit.
    """
    if desired.guard is None:
        return ()
    fleet = Fleet(desired.physical_name, variant, config)
    narrowest = {rule.metric: rule for rule in sorted(desired.guard.rules, key=lambda rule: -rule.above)}
    return tuple(_alarm(desired, rule, fleet, desired.guard.enough, environment) for rule in narrowest.values())


def stands(body: Document, there: Mapping[str, float]) -> bool:
    """Whether an alarm is among those that are there, as they were observed: name -> bound."""
    bound = there.get(body["AlarmName"])
    return bound is not None and isclose(bound, body["Threshold"])


def is_of(alarm: str, config: str) -> bool:
    """Whether an alarm watches that configuration."""
    return alarm.startswith(f"{config}-")


def put(body: Document) -> Request:
    """Make an alarm, or change the one of that name."""
    return _act(f"alarm-{body['AlarmName']}", "PutMetricAlarm", body)


def delete(name: str) -> Request:
    """Take an alarm away. One at a time: CloudWatch deletes none of several where it does not find one."""
    return _act(f"delete-{name}", "DeleteAlarms", {"AlarmNames": [name]})


def _alarm(desired: EndpointDesired, rule: Rule, fleet: Fleet, enough: int, environment: Environment) -> Document:
    """Raised by one minute above the bound, as soon as that minute is told; a minute of few requests says nothing."""
    watched, notify = _WATCHED[rule.metric], environment.observability.notify
    verdict = {"Id": "verdict", "Expression": f"IF(requests >= {enough}, {watched.value}, 0)", "ReturnData": True}
    tags = {**environment.tags, **desired.spec.tags, ID_TAG: desired.tags[ID_TAG], NAME_TAG: desired.name}
    body: Document = {
        "AlarmName": f"{fleet.config}-{rule.metric}",
        "AlarmDescription": f"{rule.metric} of what endpoint {desired.name} serves since its last guarded change",
        "Metrics": [fleet.query("requests", SUMS["requests"], "Sum"), *watched.queries(fleet), verdict],
        "EvaluationPeriods": 1,
        "Threshold": round(rule.above * watched.unit, _DIGITS),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **({"AlarmActions": [notify]} if notify else {}),
        "Tags": tag_list(tags),
    }
    return overridden("PutMetricAlarm", body, desired.spec, environment)


def _errors(fleet: Fleet) -> list[Document]:
    """What was not answered and what was answered with 5xx, as `observe.health` counts."""
    sums = [fleet.query(step, SUMS[step], "Sum") for step in ("failed", "rejected", "errors")]
    return [*sums, {"Id": "lost", "Expression": "failed - rejected", "ReturnData": False}]


def _latency(fleet: Fleet) -> list[Document]:
    return [fleet.query("latency", LATENCY, "p99")]


_WATCHED: Mapping[str, Watched] = {
    "error_rate": Watched(_errors, "MAX([errors, lost]) / requests"),
    "p99": Watched(_latency, "latency", MICROSECONDS),
}


def _act(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=CLOUDWATCH, operation=operation, body=body, quota=ALARMS, repeatable=True)
