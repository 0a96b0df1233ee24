"""What the servers of a variant use of this machine, in the namespace /aws/sagemaker/Endpoints.

Names and units are those of SageMaker's guide, "SageMaker instance metrics": CPUUtilization in per cent of one
processor, summed over all, MemoryUtilization in per cent of all memory. Only where the system has /proc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.hosting.usage import Usage, total_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws.endpoints.records import Endpoint, Variant

NAMESPACE = "/aws/sagemaker/Endpoints"
_PERCENT = 100.0


class Utilisation:
    """Measures from one look to the next."""

    def __init__(self, put: Callable[..., None]) -> None:
        """`put` takes namespace, name, dimensions, value, and by name the unit."""
        self._put = put
        self._usage: Usage[Variant] = Usage()

    def measure(self, endpoint: Endpoint) -> None:
        """Publish what each variant's servers use."""
        for variant in endpoint.fleets:
            if not variant.deployment or not variant.current_count:
                continue
            used = self._usage.look(variant, variant.awakenings, endpoint.hosting.work(variant.deployment))
            if used is None:
                continue
            dimensions = {"EndpointName": endpoint.name, "VariantName": variant.name}
            memory = _PERCENT * used.memory / total_memory()
            self._put(NAMESPACE, "MemoryUtilization", dimensions, memory, unit="Percent")
            if used.processors is not None:
                self._put(NAMESPACE, "CPUUtilization", dimensions, _PERCENT * used.processors, unit="Percent")
