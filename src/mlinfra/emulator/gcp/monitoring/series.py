"""Endpoints' values in the core's series, under Cloud Monitoring's names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.monitoring.descriptors import DESCRIPTORS, RESOURCE, SAMPLED
from mlinfra.emulator.gcp.monitoring.points import Line, Point, Value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.gcp.monitoring.descriptors import Descriptor
    from mlinfra.emulator.gcp.monitoring.filters import Filter
    from mlinfra.emulator.gcp.names import Place
    from mlinfra.emulator.metrics import Bucket, Metric, Series

_METRIC, _RESOURCE = "metric.labels.", "resource.labels."
_MINUTE = timedelta(seconds=SAMPLED)


class Lines:
    """Writes and reads the series of one project. `delay` of the core's series is how late values are seen."""

    def __init__(self, series: Series, place: Place) -> None:
        self._series = series
        self._place = place

    def put(self, metric: str, endpoint: str, labels: Mapping[str, str], value: float, at: datetime) -> None:
        """Keep a value of an endpoint; `labels` are the metric's, and what is left of those is empty."""
        resource = {
            "project_id": self._place.project,
            "resource_container": self._place.number,
            "location": self._place.region,
            "endpoint_id": endpoint,
        }
        fields = {
            **{f"{_METRIC}{name}": value for name, value in labels.items()},
            **{f"{_RESOURCE}{name}": value for name, value in resource.items()},
        }
        self._series.add(metric, fields, value, at=at, unit=DESCRIPTORS[metric].unit)

    def matching(self, asked: Filter, start: datetime, end: datetime) -> list[Line]:
        """The series that a filter means, with what is known of them after `start` and until `end`."""
        metric = asked.metrics[0]
        descriptor = DESCRIPTORS.get(metric)
        if descriptor is None:
            return []
        found = []
        for known in self._series.known(metric):
            fields = {"metric.type": metric, "resource.type": RESOURCE, "project": self._place.project}
            fields |= known.dimensions
            if asked.matches(fields):
                points = self._points(known, descriptor, start, end)
                found.append(Line(fields, descriptor.kind, descriptor.value, tuple(points)))
        return [line for line in found if line.points]

    def _points(self, known: Metric, descriptor: Descriptor, start: datetime, end: datetime) -> list[Point]:
        if descriptor.kind == "GAUGE":
            moment = timedelta(seconds=1)
            buckets = self._series.query(known.name, known.dimensions, start, end + moment, 1)
            return [Point(each.start, each.start, each.average) for each in buckets if start <= each.start <= end]
        buckets = self._series.query(known.name, known.dimensions, start - _MINUTE, end, SAMPLED)
        points = [Point(each.start, each.start + _MINUTE, _value(each, descriptor)) for each in buckets]
        return [point for point in points if start < point.end <= end]


def _value(bucket: Bucket, descriptor: Descriptor) -> Value:
    return bucket.values if descriptor.value == "DISTRIBUTION" else bucket.total
