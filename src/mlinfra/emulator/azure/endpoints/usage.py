"""What the servers of deployments use of this machine, as Azure Monitor tells it of their instances."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.monitoring import descriptors
from mlinfra.emulator.hosting.usage import Usage, total_memory

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.azure.endpoints.metrics import Put
    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint, Fleet

_PERCENT = 100.0


class InstanceUsage:
    """Measures from one look to the next."""

    def __init__(self, put: Put) -> None:
        """`put` takes a resource's id, the metric, dimensions, the value and its moment."""
        self._put = put
        self._usage: Usage[Fleet] = Usage()
        self._memory = total_memory()

    def measure(self, endpoint: Endpoint, deployment: Deployment, now: datetime) -> None:
        """Publish how many instances there are, and what each uses in per cent of this machine's."""
        fleet = deployment.fleet
        if fleet is None:
            return
        for number in range(deployment.available):
            more = {"instanceId": f"{fleet.name}-{number}", "State": "Running"}
            self._put(deployment.id, descriptors.CAPACITY, more, float(deployment.available), now)
        for number in range(deployment.wanted):
            used = self._usage.look(fleet, number, f"{endpoint.hosting.work(fleet.name)}/{number}")
            if used is None:
                continue
            whose = {"instanceId": f"{fleet.name}-{number}"}
            self._put(deployment.id, descriptors.MEMORY, whose, _PERCENT * used.memory / self._memory, now)
            if used.processors is not None:
                share = used.processors / (os.cpu_count() or 1)
                self._put(deployment.id, descriptors.CPU, whose, min(_PERCENT, _PERCENT * share), now)
