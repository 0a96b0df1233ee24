"""Counters of all workers in one piece of shared memory, so that whichever worker is asked can answer for all.

Each worker writes only its own row, so that what every request adds needs no lock, and costs what an attribute costs.
"""

from __future__ import annotations

import mmap
import threading
from bisect import bisect_left
from http import HTTPStatus
from itertools import accumulate

_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NAMED = {
    "shed_total": ("counter", "Requests refused because too many were waiting."),
    "rows_total": ("counter", "Rows predicted."),
    "refused_cells_total": ("counter", "Cells that the schema refused."),
    "capture_written_total": ("counter", "Capture records written."),
    "capture_dropped_total": ("counter", "Capture records dropped because they came faster than they were written."),
    "capture_failed_total": ("counter", "Capture records lost because they could not be written."),
    "model_loads_total": ("counter", "Models loaded, where there are many."),
    "model_load_failures_total": ("counter", "Models that could not be loaded."),
    "model_evictions_total": ("counter", "Models dropped to keep within the memory limit."),
    "models_loaded": ("gauge", "Models in memory."),
    "models_bytes": ("gauge", "Bytes that they were measured to take."),
    "in_flight": ("gauge", "Requests waiting for a prediction or being predicted."),
    "connections": ("gauge", "Open connections."),
    "ready": ("gauge", "Workers that are ready."),
}
_STATUSES = tuple(status.value for status in HTTPStatus if status.value >= HTTPStatus.OK)
_STATUS_AT = {status: index for index, status in enumerate(_STATUSES)}
_NAMED_AT = {name: len(_STATUSES) + index for index, name in enumerate(_NAMED)}
_ROWS_AT = _NAMED_AT["rows_total"]
_BUCKETS_AT = len(_STATUSES) + len(_NAMED)
_SUM_AT = _BUCKETS_AT + len(_BOUNDS) + 1
_WIDTH = _SUM_AT + 1
_DOUBLE = 8
_PREFIX = "mlinfra_serving_"


class Metrics:
    """The counters. Made before the workers are forked; each calls `own` once."""

    def __init__(self, workers: int) -> None:
        self._all = memoryview(mmap.mmap(-1, max(workers, 1) * _WIDTH * _DOUBLE)).cast("d")
        self._mine = self._all[:_WIDTH]
        self._adding = threading.Lock()

    def own(self, worker: int) -> None:
        """Take a worker's row; a restarted worker goes on where its predecessor ended."""
        self._mine = self._all[worker * _WIDTH : (worker + 1) * _WIDTH]
        self.set("in_flight", 0)
        self.set("connections", 0)
        self.set("ready", 0)
        self.set("models_loaded", 0)
        self.set("models_bytes", 0)

    def count(self, status: int) -> None:
        """One request answered with a status."""
        self._mine[_STATUS_AT[status]] += 1

    def observe(self, status: int, seconds: float, rows: int) -> None:
        """One request to the model: its status, how long it took, how many rows it had."""
        mine = self._mine
        mine[_STATUS_AT[status]] += 1
        mine[_BUCKETS_AT + bisect_left(_BOUNDS, seconds)] += 1
        mine[_SUM_AT] += seconds
        mine[_ROWS_AT] += rows

    def add(self, name: str, amount: float = 1) -> None:
        """Add to a counter, from any thread."""
        with self._adding:
            self._mine[_NAMED_AT[name]] += amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._mine[_NAMED_AT[name]] = value

    def total(self, name: str) -> float:
        """A counter over all workers."""
        return self._sum(_NAMED_AT[name])

    def render(self, labels: dict[str, str]) -> bytes:
        """Everything in Prometheus' text format."""
        fixed = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items() if value)
        lines = [
            f"# HELP {_PREFIX}requests_total Requests by status; 4xx were rejected, 5xx are errors.",
            f"# TYPE {_PREFIX}requests_total counter",
            *(
                f"{_PREFIX}requests_total{_labels(fixed, ('code', status))} {_number(self._sum(index))}"
                for status, index in _STATUS_AT.items()
                if self._sum(index)
            ),
            *self._latency(fixed),
        ]
        for name, (kind, about) in _NAMED.items():
            full = f"{_PREFIX}{name}"
            value = _number(self.total(name))
            lines += [f"# HELP {full} {about}", f"# TYPE {full} {kind}", f"{full}{_labels(fixed)} {value}"]
        return "\n".join([*lines, ""]).encode()

    def _latency(self, fixed: str) -> list[str]:
        name = f"{_PREFIX}latency_seconds"
        counts = accumulate(self._sum(_BUCKETS_AT + index) for index in range(len(_BOUNDS) + 1))
        bounds = [*map(str, _BOUNDS), "+Inf"]
        buckets = list(zip(bounds, counts, strict=True))
        return [
            f"# HELP {name} Seconds from a complete request to its answer.",
            f"# TYPE {name} histogram",
            *(f"{name}_bucket{_labels(fixed, ('le', bound))} {_number(count)}" for bound, count in buckets),
            f"{name}_sum{_labels(fixed)} {self._sum(_SUM_AT)}",
            f"{name}_count{_labels(fixed)} {_number(buckets[-1][1])}",
        ]

    def _sum(self, index: int) -> float:
        return sum(self._all[index::_WIDTH])


def _labels(fixed: str, *own: tuple[str, object]) -> str:
    parts = [fixed, *(f'{name}="{value}"' for name, value in own)]
    text = ",".join(part for part in parts if part)
    return f"{{{text}}}" if text else ""


def _number(value: float) -> str:
    return str(int(value))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
