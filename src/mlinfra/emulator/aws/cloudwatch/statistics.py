"""Statistics of CloudWatch over what was measured in one period."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.metrics import Bucket

SIMPLE: Mapping[str, Callable[[Bucket], float]] = {
    "SampleCount": lambda bucket: float(bucket.count),
    "Average": lambda bucket: bucket.average,
    "Sum": lambda bucket: bucket.total,
    "Minimum": lambda bucket: bucket.smallest,
    "Maximum": lambda bucket: bucket.largest,
}
_PERCENTILE = re.compile(r"p(\d{1,2}(\.\d{1,10})?|100)")


def is_known(name: str) -> bool:
    """Whether a statistic is emulated: the simple ones and percentiles; trimmed means and the like are not."""
    return name in SIMPLE or _PERCENTILE.fullmatch(name) is not None


def value(bucket: Bucket, name: str) -> float:
    """A statistic of a period. KeyError where it is not emulated."""
    percentile = _PERCENTILE.fullmatch(name)
    return bucket.percentile(float(percentile[1])) if percentile else SIMPLE[name](bucket)
