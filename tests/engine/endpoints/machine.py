"""What a process stands on, by a script: a clock, calls that are killed, lost or refused, and a quick journal."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from mlinfra.engine.journal import Journal
from mlinfra.errors import Unavailable

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone: nothing that it would still do happens."""


class FakeClock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return EPOCH + timedelta(seconds=self.time)

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.time += max(0.0, seconds)


class Faults:
    """What happens to one process's calls: killed at the nth, before or after its effect; answers get lost."""

    def __init__(self):
        self.calls = []
        self.kill_at = None
        self.after = False
        self.dead = False
        self.script = {}  # number of the call -> what happens to it: "lost", "refused"
        self.on_call = lambda _operation: None

    def call(self, operation, effect):
        if self.dead:
            raise Killed
        self.calls.append(operation)
        self.on_call(operation)
        number = len(self.calls)
        hit = number == self.kill_at
        self.dead = hit
        if hit and not self.after:
            raise Killed
        fault = self.script.get(number)
        if fault == "refused":
            raise Unavailable(f"{operation}: no connection", sent=False)
        result = effect()
        if hit:
            raise Killed
        if fault == "lost":
            raise Unavailable(f"{operation}: no answer")
        return result


class QuickJournal(Journal):
    """The journal without its waits for the disk, which no test here takes away."""

    @contextmanager
    def _transaction(self):
        db = sqlite3.connect(self._path)
        try:
            db.execute("PRAGMA synchronous = OFF")
            with db:
                yield db
        finally:
            db.close()
