"""ARM's allowances: a bucket of calls for each principal and kind of call, and the header that tells what is left.

Source: "Understand how Azure Resource Manager throttles requests": per subscription and principal 250 reads at once and
25 more a second, 200 writes and 200 deletions at once and 10 more a second.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Kind
    from mlinfra.emulator.calls import Call

_BUCKETS: dict[Kind, tuple[float, float]] = {"read": (25, 250), "write": (10, 200), "delete": (10, 200)}


class Limits:
    """The buckets of one emulator's callers. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._lock = Lock()
        self._known: set[str] = set()

    def take(self, call: Call, kind: Kind) -> None:
        """Count a call.

        Raises:
            Refusal: 429, the bucket is empty.
        """
        service = self._service(call.principal)
        wait = self._emulator.quotas.take(replace(call, service=service, operation=kind))
        if wait:
            raise self._emulator.desk.wording.throttled(call, wait)

    def header(self, principal: str, kind: Kind) -> dict[str, str]:
        """What is left, as every answer tells it."""
        left = self._emulator.quotas.left(self._service(principal), kind)
        name = f"x-ms-ratelimit-remaining-subscription-{kind}s"
        return {name: str(int(left))} if left is not None else {}

    def _service(self, principal: str) -> str:
        """The name under which a principal's buckets are kept, which are made when it first calls."""
        service = f"ARM for {principal}"
        with self._lock:
            if service not in self._known:
                self._known.add(service)
                for kind, (rate, burst) in _BUCKETS.items():
                    self._emulator.quotas.limit(service, kind, rate, burst)
        return service
