"""What the replicas of deployed models use of this machine: CPU and memory, as Cloud Monitoring has them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from mlinfra.emulator.gcp.monitoring import descriptors
from mlinfra.emulator.hosting.usage import PROC, cpu_seconds
from mlinfra.host import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint


class _Used(NamedTuple):
    cpu: float  # s of all processes that are still there
    at: float  # the machine's second


class Usage:
    """Measures from one look to the next. Nothing where the system has no /proc."""

    def __init__(self, put: Callable[[str, str, Mapping[str, str], float, datetime], None]) -> None:
        """`put` takes metric type, endpoint, labels, value and moment."""
        self._put = put
        self._before: WeakKeyDictionary[Deployment, dict[int, _Used]] = WeakKeyDictionary()

    def measure(self, endpoint: Endpoint, deployment: Deployment, now: datetime) -> None:
        """Publish what each replica uses: the fraction of one processor since the last look, and bytes."""
        if not PROC.is_dir() or not deployment.fleet:
            return
        before = self._before.setdefault(deployment, {})
        for number in range(deployment.wanted):
            pids = processes.belonging(f"{endpoint.hosting.work(deployment.fleet)}/{number}")
            if not pids:
                before.pop(number, None)
                continue
            labels = {
                "deployed_model_id": deployment.id,
                "replica_id": f"{deployment.fleet}-{number}",
                "spot": str(bool(deployment.message.dedicated_resources.spot)),
            }
            memory = processes.proportional(pids, processes.table())
            self._put(descriptors.MEMORY, endpoint.id, labels, float(memory), now)
            used = _Used(cpu_seconds(pids), time.monotonic())
            earlier, before[number] = before.get(number), used
            if earlier and used.at > earlier.at:
                share = max(0.0, used.cpu - earlier.cpu) / (used.at - earlier.at)
                self._put(descriptors.CPU, endpoint.id, labels, share, now)
