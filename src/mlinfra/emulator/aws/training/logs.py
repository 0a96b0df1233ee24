"""A training job's lines on their way to CloudWatch Logs, and the metrics that its definitions find in them.

Group `/aws/sagemaker/TrainingJobs`, one stream a node, `<job>/algo-<n>-<seconds>`. A stream comes into being with its
first line, the group with the first line of all. A metric's value is what its expression's group matched, and it
is published in the namespace of the group's name with the dimension TrainingJobName.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from mlinfra.emulator.jobs.pump import Line

GROUP = "/aws/sagemaker/TrainingJobs"
NAMESPACE = "/aws/sagemaker/TrainingJobs"


class Measured(NamedTuple):
    """A value that a definition found."""

    name: str
    value: float
    at: datetime


class Definitions:
    """The `MetricDefinitions` of a request."""

    def __init__(self, documents: Iterable[Mapping[str, str]]) -> None:
        """Raises `re.error` where an expression is none."""
        self._expressions = [(each["Name"], re.compile(each["Regex"])) for each in documents]

    def found(self, text: str, at: datetime) -> list[Measured]:
        """The values in one line."""
        values = ((name, _value(match)) for name, pattern in self._expressions for match in pattern.finditer(text))
        return [Measured(name, value, at) for name, value in values if value is not None]


def events(lines: Iterable[Line]) -> list[tuple[int, str]]:
    """Milliseconds since 1970, and text; a line that is empty makes no event."""
    return [(int(line.at.timestamp() * 1000), line.text) for line in lines if line.text]


def stream_name(job: str, host: str, at: datetime) -> str:
    """The name of a node's stream, whose container started at that moment."""
    return f"{job}/{host}-{int(at.timestamp())}"


def _value(match: re.Match[str]) -> float | None:
    text = match[1] if match.re.groups else match[0]
    try:
        value = float(text)
    except (TypeError, ValueError):  # the group took no part, or matched no number
        return None
    return value if math.isfinite(value) else None
