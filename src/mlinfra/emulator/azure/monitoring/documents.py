"""Metrics and their definitions as Azure Monitor tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.monitoring.computing import AGGREGATIONS
from mlinfra.emulator.azure.monitoring.queries import GRAINS, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.emulator.azure.monitoring.computing import Line
    from mlinfra.emulator.azure.monitoring.descriptors import Descriptor
    from mlinfra.emulator.azure.monitoring.queries import Query

_KEPT = "P93D"


def metric_document(resource: str, metric: Descriptor, query: Query, lines: Sequence[Line]) -> dict[str, Any]:
    """One metric of a reply. Periods without values are told without them."""
    return {
        "id": f"{resource}/providers/Microsoft.Insights/metrics/{metric.name}",
        "type": "Microsoft.Insights/metrics",
        "name": _localized(metric.name, metric.title),
        "displayDescription": metric.about,
        "unit": metric.unit,
        "timeseries": [_series(line, query) for line in lines[: query.top]],
        "errorCode": "Success",
    }


def definition(resource: str, kind: str, metric: Descriptor) -> dict[str, Any]:
    """One metric definition."""
    name = metric.name
    return {
        "id": f"{resource}/providers/microsoft.insights/metricdefinitions/{name}",
        "resourceId": resource,
        "namespace": kind,
        "name": _localized(name, metric.title),
        "displayDescription": metric.about,
        "isDimensionRequired": False,
        "unit": metric.unit,
        "primaryAggregationType": metric.aggregations[0],
        "supportedAggregationTypes": list(metric.aggregations),
        "metricAvailabilities": [{"timeGrain": grain, "retention": _KEPT} for grain in GRAINS],
        "dimensions": [_localized(each, each) for each in metric.dimensions],
    }


def _series(line: Line, query: Query) -> dict[str, Any]:
    labels = [
        {"name": _localized(name.lower(), name.lower()), "value": value} for name, value in line.dimensions.items()
    ]
    if query.only_metadata:
        return {"metadatavalues": labels}
    data = []
    for begin in query.span.starts:
        bucket = line.buckets.get(begin)
        values = {each: AGGREGATIONS[each](bucket) for each in query.aggregations} if bucket else {}
        data.append({"timeStamp": stamp(begin), **values})
    return {"metadatavalues": labels, "data": data}


def _localized(value: str, title: str) -> dict[str, str]:
    return {"value": value, "localizedValue": title}
