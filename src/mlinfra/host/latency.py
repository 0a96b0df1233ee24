"""Latencies as counts in buckets that grow by two per cent, so that a quantile is right to one per cent."""

from __future__ import annotations

from math import ceil, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALLEST = 1e-6  # seconds; everything quicker lies in bucket 0
_GROWTH = 1.02
_SCALE = 1 / log(_GROWTH)


def bucket(seconds: float) -> int:
    """The bucket of a latency."""
    return ceil(log(seconds / _SMALLEST) * _SCALE) if seconds > _SMALLEST else 0


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The latency in seconds below which this share of the counts lies, None without counts."""
    rank = ceil(share * sum(counts.values()))
    for number in sorted(counts):
        rank -= counts[number]
        if rank <= 0:
            return float(_SMALLEST * _GROWTH ** (number - 0.5))
    return None
