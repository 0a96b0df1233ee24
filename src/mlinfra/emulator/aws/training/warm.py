"""Warm pools: the instances that a job keeps after its end, for another like it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

AVAILABLE = "Available"
_SAME = ("RoleArn", "VpcConfig", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption")
_SAME_INSTANCES = ("InstanceType", "InstanceCount", "InstanceGroups", "VolumeSizeInGB", "VolumeKmsKeyId")


@dataclass
class WarmPool:
    """The instances of one job. `since` is its end, `until` when they are given back."""

    since: datetime
    until: datetime
    reused_by: str = ""
    left: datetime | None = None  # when the next job took them

    def keep(self, seconds: int, now: datetime) -> None:
        """Keep them for so long from their job's end; a time that has passed gives them back now."""
        self.until = max(now, self.since + timedelta(seconds=seconds))

    def status(self, now: datetime) -> str:
        """The word of `WarmPoolResourceStatus`."""
        return "Reused" if self.reused_by else AVAILABLE if now < self.until else "Terminated"

    def document(self, now: datetime) -> dict[str, Any]:
        """The job's `WarmPoolStatus`."""
        kept = (min(now, self.left or self.until, self.until) - self.since).total_seconds()
        told = {"Status": self.status(now), "ResourceRetainedBillableTimeInSeconds": max(0, math.floor(kept))}
        return {**told, "ReusedByJob": self.reused_by} if self.reused_by else told


def alike(request: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the job of the one request may take the instances of the other's."""
    mine, theirs = request["ResourceConfig"], other["ResourceConfig"]
    return all(request.get(name) == other.get(name) for name in _SAME) and all(
        mine.get(name) == theirs.get(name) for name in _SAME_INSTANCES
    )
