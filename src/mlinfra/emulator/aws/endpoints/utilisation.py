"""What the servers of a variant use of this machine, in the namespace /aws/sagemaker/Endpoints.

Names and units are those of SageMaker's guide, "SageMaker instance metrics": CPUUtilization in per cent of one
processor, summed over all, MemoryUtilization in per cent of all memory. Only where the system has /proc.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from mlinfra.emulator.hosting.usage import PROC, cpu_seconds
from mlinfra.host import processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws.endpoints.records import Endpoint, Variant

NAMESPACE = "/aws/sagemaker/Endpoints"


class _Used(NamedTuple):
    cpu: float  # s of all processes that are still there
    at: float  # the machine's second


class Utilisation:
    """Measures from one look to the next."""

    def __init__(self, put: Callable[..., None]) -> None:
        """`put` takes namespace, name, dimensions, value, and by name the unit."""
        self._put = put
        self._before: WeakKeyDictionary[Variant, _Used] = WeakKeyDictionary()

    def measure(self, endpoint: Endpoint) -> None:
        """Publish what each variant's servers use."""
        if not PROC.is_dir():
            return
        for variant in endpoint.fleets:
            if variant.deployment and variant.current_count:
                self._measure(endpoint, variant)
            else:
                self._before.pop(variant, None)

    def _measure(self, endpoint: Endpoint, variant: Variant) -> None:
        pids = processes.belonging(endpoint.hosting.work(variant.deployment))
        table = processes.table()
        now = _Used(cpu_seconds(pids), time.monotonic())
        before = self._before.get(variant)
        self._before[variant] = now
        dimensions = {"EndpointName": endpoint.name, "VariantName": variant.name}
        memory = 100.0 * processes.proportional(pids, table) / _total_memory()
        self._put(NAMESPACE, "MemoryUtilization", dimensions, memory, unit="Percent")
        if before and now.at > before.at:
            share = 100.0 * max(0.0, now.cpu - before.cpu) / (now.at - before.at)
            self._put(NAMESPACE, "CPUUtilization", dimensions, share, unit="Percent")


def _total_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
