"""What the replicas of deployed models use of this machine: CPU and memory, as Cloud Monitoring has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.monitoring import descriptors
from mlinfra.emulator.hosting.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint


class ReplicaUsage:
    """Measures from one look to the next."""

    def __init__(self, put: Callable[[str, str, Mapping[str, str], float, datetime], None]) -> None:
        """`put` takes metric type, endpoint, labels, value and moment."""
        self._put = put
        self._usage: Usage[Deployment] = Usage()

    def measure(self, endpoint: Endpoint, deployment: Deployment, now: datetime) -> None:
        """Publish what each replica uses: the fraction of one processor since the last look, and bytes."""
        for number in range(deployment.wanted if deployment.fleet else 0):
            used = self._usage.look(deployment, number, f"{endpoint.hosting.work(deployment.fleet)}/{number}")
            if used is None:
                continue
            labels = {
                "deployed_model_id": deployment.id,
                "replica_id": f"{deployment.fleet}-{number}",
                "spot": str(bool(deployment.message.dedicated_resources.spot)),
            }
            self._put(descriptors.MEMORY, endpoint.id, labels, used.memory, now)
            if used.processors is not None:
                self._put(descriptors.CPU, endpoint.id, labels, used.processors, now)
