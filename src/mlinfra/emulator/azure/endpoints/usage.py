"""What the servers of deployments use of this machine, as Azure Monitor tells it of their instances."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from mlinfra.emulator.azure.monitoring import descriptors
from mlinfra.emulator.hosting.usage import PROC, cpu_seconds
from mlinfra.host import processes

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.azure.endpoints.metrics import Put
    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint, Fleet

_PERCENT = 100.0


class _Used(NamedTuple):
    cpu: float  # s of all processes that are still there
    at: float  # the machine's second


class Usage:
    """Measures from one look to the next. Nothing where the system has no /proc."""

    def __init__(self, put: Put) -> None:
        """`put` takes a resource's id, the metric, dimensions, the value and its moment."""
        self._put = put
        self._before: WeakKeyDictionary[Fleet, dict[int, _Used]] = WeakKeyDictionary()
        self._memory = _memory()

    def measure(self, endpoint: Endpoint, deployment: Deployment, now: datetime) -> None:
        """Publish how many instances there are, and what each uses in per cent of this machine's."""
        fleet = deployment.fleet
        if fleet is None:
            return
        for number in range(deployment.available):
            more = {"instanceId": f"{fleet.name}-{number}", "State": "Running"}
            self._put(deployment.id, descriptors.CAPACITY, more, float(deployment.available), now)
        if not PROC.is_dir():
            return
        before = self._before.setdefault(fleet, {})
        for number in range(deployment.wanted):
            pids = processes.belonging(f"{endpoint.hosting.work(fleet.name)}/{number}")
            if not pids:
                before.pop(number, None)
                continue
            whose = {"instanceId": f"{fleet.name}-{number}"}
            memory = processes.proportional(pids, processes.table())
            self._put(deployment.id, descriptors.MEMORY, whose, _PERCENT * memory / self._memory, now)
            used = _Used(cpu_seconds(pids), time.monotonic())
            earlier, before[number] = before.get(number), used
            if earlier and used.at > earlier.at:
                share = max(0.0, used.cpu - earlier.cpu) / (used.at - earlier.at) / (os.cpu_count() or 1)
                self._put(deployment.id, descriptors.CPU, whose, min(_PERCENT, _PERCENT * share), now)


def _memory() -> float:
    """The bytes of this machine's memory."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):  # a system that does not tell
        return float("inf")
