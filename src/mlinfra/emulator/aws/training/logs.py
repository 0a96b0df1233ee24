"""A training job's lines on their way to CloudWatch Logs, and the metrics that its definitions find in them.

Group `/aws/sagemaker/TrainingJobs`, one stream a node, `<job>/algo-<n>-<seconds>`. A stream comes into being with its
first line, the group with the first line of all. A metric's value is what its expression's group matched, and it
is published in the namespace of the group's name with the dimension TrainingJobName.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta

GROUP = "/aws/sagemaker/TrainingJobs"
NAMESPACE = "/aws/sagemaker/TrainingJobs"
_PAGE = 1000
_NODE = "node-"  # how the host names the source of a node's lines

Events = Sequence[tuple[int, str]]  # milliseconds since 1970, and text


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


class LogPump:
    """Carries the lines of one attempt from the host to the log streams.

    `read` is the host's GetJobLogs from a token on, `put` writes events of the node of a rank, `measure` takes the
    values found, `shift` is how far the emulator's time is ahead of the host's.
    """

    def __init__(
        self,
        read: Callable[[str | None], Mapping[str, Any]],
        put: Callable[[int, Events], None],
        measure: Callable[[Measured], None],
        definitions: Definitions,
        shift: Callable[[], timedelta],
    ) -> None:
        self._read = read
        self._put = put
        self._measure = measure
        self._definitions = definitions
        self._shift = shift
        self._token: str | None = None

    def pump(self) -> None:
        """Carry what is new. Returns when there is no more."""
        while True:
            page = self._read(self._token)
            self._token = page["token"]
            self._carry(page["lines"])
            if len(page["lines"]) < _PAGE:
                return

    def _carry(self, lines: Sequence[Mapping[str, str]]) -> None:
        nodes: dict[int, list[tuple[int, str]]] = {}
        for line in lines:
            rank = line["source"].removeprefix(_NODE)
            if rank == line["source"] or not line["text"]:
                continue  # the host's own words are not the container's, and an event is not empty
            at = datetime.fromisoformat(line["time"]) + self._shift()
            nodes.setdefault(int(rank), []).append((int(at.timestamp() * 1000), line["text"]))
            for measured in self._definitions.found(line["text"], at):
                self._measure(measured)
        for number, events in nodes.items():
            self._put(number, events)


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
