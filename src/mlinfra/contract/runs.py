"""Runs: jobs seen as experiments, read from the platform by tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.jobs import JobObservation
    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment


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
