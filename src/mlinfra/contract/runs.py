"""Runs: jobs seen as experiments, read from the platform by tag; and the metrics that a runner leaves and prints."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.contract.jobs import JobObservation, LogLine
    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment


_PRINTED = re.compile(r"mlinfra-metric name=(?P<name>\S+) value=(?P<value>\S+)(?: step=(?P<step>-?\d+))?")


@dataclass(frozen=True)
class MetricPoint:
    """One logged value. `step` is the script's own count, None where it gave none."""

    name: str
    value: float
    step: int | None
    time: datetime | None


class RunRenderer(Protocol):
    """The part of the module `render/jobs.py` that reads runs."""

    def metrics(self, job: JobObservation, environment: Environment) -> tuple[Request, ...]:
        """The reads from whose replies `observe.metrics` tells every logged value."""


class RunObserver(Protocol):
    """The part of the module `observe.py` that reads runs."""

    def metrics(self, replies: Mapping[str, Document | None], environment: Environment) -> tuple[MetricPoint, ...]:
        """The replies of `metrics` by step, in the order logged."""


def reported(text: str) -> tuple[MetricPoint, ...]:
    """The runner's report, metrics.json, where null stands for what is not finite."""
    return tuple(_reported(point) for point in json.loads(text))


def printed(lines: Iterable[LogLine]) -> tuple[MetricPoint, ...]:
    """The values in a log so far."""
    found = ((_PRINTED.match(line.text), line.time) for line in lines)
    return tuple(_printed(match, time) for match, time in found if match)


def _reported(point: Mapping[str, Any]) -> MetricPoint:
    value = float("nan") if point["value"] is None else float(point["value"])
    return MetricPoint(point["name"], value, point.get("step"), datetime.fromtimestamp(point["time"], UTC))


def _printed(match: re.Match[str], time: datetime) -> MetricPoint:
    step = int(match["step"]) if match["step"] else None
    try:
        return MetricPoint(match["name"], float(match["value"]), step, time)
    except ValueError:
        return MetricPoint(match["name"], float("nan"), step, time)
