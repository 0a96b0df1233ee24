"""Alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import tags, told_tags
from mlinfra.emulator.aws.provisioning.sagemaker import pascal
from mlinfra.emulator.provisioning import Kind, Made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

# The provider's names of what the API calls otherwise; all others differ in their first letter.
_RENAMED = {"name": "AlarmName", "metricQueries": "Metrics"}
_SHOWN = ("threshold", "comparisonOperator", "treatMissingData", "alarmActions", "alarmDescription")


def _alarm_create(cloud: Cloud, declared: Declared) -> Made:
    _put(cloud, declared.inputs, Tags=tags(declared.inputs))
    name = declared.inputs["name"]
    return Made(name, {"arn": _told(cloud, name)["AlarmArn"]})


def _alarm_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    _put(cloud, declared.inputs)
    if named := tags(declared.inputs):
        cloud.call("cloudwatch", "TagResource", ResourceARN=_told(cloud, declared.id)["AlarmArn"], Tags=named)
    return {}


def _alarm_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    told = _told(cloud, declared.id)
    if not told:
        return None
    rows = cloud.call("cloudwatch", "ListTagsForResource", ResourceARN=told["AlarmArn"])["Tags"]
    shown = {name: told[_member(name)] for name in _SHOWN if name in declared.inputs and _member(name) in told}
    return {**shown, **told_tags(rows)}


def _alarm_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.gone("cloudwatch", "DeleteAlarms", AlarmNames=[declared.id])


def _put(cloud: Cloud, inputs: Inputs, **more: Any) -> None:
    """PutMetricAlarm makes an alarm, and overwrites one of that name."""
    body = {_member(name): _value(name, value) for name, value in inputs.items() if name != "tags"}
    cloud.call("cloudwatch", "PutMetricAlarm", **body, **more)


def _member(name: str) -> str:
    return _RENAMED.get(name, name[0].upper() + name[1:])


def _value(name: str, value: Any) -> Any:
    if name == "metricQueries":
        return [_query(each) for each in value]
    return _dimensions(value) if name == "dimensions" else pascal(value)


def _query(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider writes a metric and how it is looked at as one, the API as two."""
    rest = {name: value for name, value in query.items() if name != "metric"}
    metric = query.get("metric")
    if not metric:
        body: Mapping[str, Any] = pascal(rest)
        return body
    named = {name: metric[name] for name in ("namespace", "metricName") if metric.get(name)}
    looked = {name: metric[name] for name in ("period", "stat", "unit") if metric.get(name)}
    source = {**pascal(named), "Dimensions": _dimensions(metric.get("dimensions") or {})}
    return {**pascal(rest), "MetricStat": {"Metric": source, **pascal(looked)}}


def _dimensions(value: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": text} for name, text in value.items()]


def _told(cloud: Cloud, name: str) -> dict[str, Any]:
    """The alarm as the service tells it; nothing where there is none."""
    found = cloud.call("cloudwatch", "DescribeAlarms", AlarmNames=[name])["MetricAlarms"]
    return dict(found[0]) if found else {}


KINDS: dict[str, Kind[Cloud]] = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": Kind(_alarm_create, _alarm_delete, _alarm_read, _alarm_update),
}
