"""A job as the service keeps it: what was asked for, where it stands, what came of it.

Every reader and writer of a job holds its `lock`; the run changes it, the operations read it and ask for changes.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints.durations import seconds
from mlinfra.emulator.azure.jobs.states import CANCELED, ENDED, NOT_STARTED, RUNNING
from mlinfra.emulator.azure.names import kind_of, own
from mlinfra.emulator.jobs.wishes import Wishes

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.azure.jobs.faults import JobEnd

_LONGEST = 21 * 86_400.0  # s, the lifetime of a job by the page of quotas
_NOTED = "%Y-%m-%d %H:%M:%S"
_LOW_PRIORITY = 7 * 86_400.0  # s, as well
MUTABLE = frozenset(
    {"tags", "properties", "description", "displayName", "isArchived", "services", "notificationSetting"}
)


@dataclass
class Job:
    """One job. `asked` are the properties of the request with the service's defaults; `MUTABLE` ones may change."""

    id: str
    asked: dict[str, Any]
    principal: str  # the object id of who data and secrets are asked in the name of
    by: str  # the object id of who made it
    number: int  # of the run within the workspace
    created: datetime
    modified: datetime
    spot: bool = False
    size: str = ""  # of its machines
    state: str = NOT_STARTED.state
    started: datetime | None = None
    ended: datetime | None = None
    end: JobEnd | None = None
    warnings: list[str] = field(default_factory=list)
    wishes: Wishes = field(default_factory=Wishes)
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """Its own name, which is its run's id."""
        return own(self.id)

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    @property
    def timeout(self) -> float:
        """For how many virtual seconds it may run."""
        told = (self.asked.get("limits") or {}).get("timeout")
        return seconds(told, "properties.limits.timeout") if told else (_LOW_PRIORITY if self.spot else _LONGEST)

    @property
    def nodes(self) -> int:
        """How many machines it takes."""
        return int((self.asked.get("resources") or {}).get("instanceCount") or 1)

    @property
    def experiment(self) -> str:
        """The experiment that its run belongs to."""
        return str(self.asked["experimentName"])

    def enter(self, state: str, at: datetime) -> None:
        """Come to a state."""
        with self.lock:
            self.state, self.modified = state, at
            if state == RUNNING.state and self.started is None:
                self.started = at

    def finish(self, state: str, at: datetime, end: JobEnd | None = None) -> None:
        """Come to an end."""
        with self.lock:
            self.ended = at
            self.end = end if end and (end.code or state != CANCELED) else None
            self.enter(state, at)

    def told(self) -> dict[str, Any]:
        """The document with which ARM answers."""
        with self.lock:
            properties = {**deepcopy(self.asked), "status": self.state}
            properties["properties"] = {**(properties.get("properties") or {}), **self._noted()}
            return {
                "id": self.id,
                "name": self.name,
                "type": kind_of(self.id),
                "properties": properties,
                "systemData": {
                    "createdAt": time(self.created),
                    "createdBy": self.by,
                    "createdByType": "Application",
                    "lastModifiedAt": time(self.modified),
                    "lastModifiedBy": self.by,
                    "lastModifiedByType": "Application",
                },
            }

    def _noted(self) -> dict[str, str]:
        """What the service itself writes into a job's properties."""
        times = {"StartTimeUtc": self.started, "EndTimeUtc": self.ended}
        return {name: moment.strftime(_NOTED) for name, moment in times.items() if moment}


def time(moment: datetime) -> str:
    """As ARM and the run history write it."""
    return moment.isoformat().replace("+00:00", "Z")
