"""What was called, by whom, and how it ended: calls are counted here and nowhere else."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.calls import Call

OK = "ok"
CUT = "cut"


class Entry(NamedTuple):
    """One call. `at` is when it arrived; `outcome` is `ok`, `cut`, or the code of the error that was answered."""

    at: datetime
    service: str
    operation: str
    principal: str
    outcome: str
    control: bool


class Ledger:
    """Every call that has ended since the emulator started or the ledger was cleared. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: list[Entry] = []

    def note(self, at: datetime, call: Call, outcome: str) -> None:
        """Write down how a call that arrived at that moment ended."""
        entry = Entry(at, call.service, call.operation, call.principal, outcome, call.control)
        with self._lock:
            self._entries.append(entry)

    def calls(
        self, service: str | None = None, operation: str | None = None, *, control: bool | None = None
    ) -> list[Entry]:
        """The calls of a service, of an operation, of the control plane or of the rest, in the order of arrival."""
        with self._lock:
            entries = list(self._entries)
        chosen = [
            entry
            for entry in entries
            if service in {None, entry.service}
            and operation in {None, entry.operation}
            and control in {None, entry.control}
        ]
        return sorted(chosen, key=lambda entry: entry.at)

    def clear(self) -> None:
        """Forget every call."""
        with self._lock:
            self._entries.clear()
