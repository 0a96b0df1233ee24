"""Where capture records go: files in a folder, line by line, or objects in a store, batch by batch.

A store may be slow or away for minutes. Then batches wait in memory, as many as the settings allow; what comes beyond
is dropped and counted, and nobody waits for it.
"""

from __future__ import annotations

import math
import os
import queue
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlinfra.serving.log import log

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from mlinfra.serving.metrics import Metrics
    from mlinfra.serving.stores import ObjectStore

_ATTEMPTS = 8
_PAUSE = 0.5  # seconds before the second attempt, doubled before each later one
_LONGEST_PAUSE = 30.0  # seconds
_CLOSING = 8.0  # seconds for what waits when the server is told to stop: platforms give it 30 in all
_TEMPORARY = 75  # RunnerError.exit_code of what may pass; its module is imported with the stores alone


class Sink(Protocol):
    """Takes lines from one thread. Counts each as written, dropped or failed, and never raises."""

    def start(self) -> None:
        """Begin. Call after a fork."""

    def add(self, hour: str, lines: list[bytes]) -> None:
        """Lines of records of one hour, `date=YYYY-MM-DD/hour=HH`."""

    def turn(self) -> None:
        """Do what is due by the clock; to be called several times a second."""

    def hurry(self) -> None:
        """The server is told to stop: let nothing wait for more. May be called from another thread."""

    def close(self) -> None:
        """Write what waits, then end."""


class Trouble:
    """Says once that records cannot be written; the counters say how often."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._told = False

    def tell(self, exc: Exception) -> None:
        """Something went wrong."""
        if not self._told:
            log("capture records cannot be written", level="error", error=exc, place=self._place)
        self._told = True


class Folder:
    """One file an hour and process."""

    def __init__(self, folder: Path, metrics: Metrics, trouble: Trouble) -> None:
        self._folder = folder
        self._metrics = metrics
        self._trouble = trouble
        self._file: FileIO | None = None
        self._hour = ""

    def start(self) -> None:
        """Nothing to begin."""

    def add(self, hour: str, lines: list[bytes]) -> None:
        """Write them now."""
        try:
            self._append(hour, lines)
        except OSError as exc:
            self._file = None  # the next record begins a new file, and a torn line ends the old one
            self._trouble.tell(exc)
            self._metrics.add("capture_failed_total", len(lines))
        else:
            self._metrics.add("capture_written_total", len(lines))

    def turn(self) -> None:
        """Nothing waits here."""

    def hurry(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def _append(self, hour: str, lines: list[bytes]) -> None:
        if hour != self._hour or self._file is None:
            if self._file:
                self._file.close()
                self._file = None
            path = self._folder / _new_name(hour)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
            self._hour = hour
        content = memoryview(_joined(lines))
        while content:
            content = content[self._file.write(content) :]


@dataclass(frozen=True)
class Limits:
    """When a batch is complete: its bytes, the age in seconds of its first line. `buffer`: bytes of all in memory."""

    batch_bytes: int
    batch_seconds: float
    buffer: int


@dataclass
class _Batch:
    """Lines that become one object."""

    hour: str
    begun: float
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


class Batches:
    """Objects of many lines, written by a thread of their own."""

    def __init__(self, store: ObjectStore, limits: Limits, metrics: Metrics, trouble: Trouble) -> None:
        self._store = store
        self._limits = limits
        self._metrics = metrics
        self._trouble = trouble
        self._open: dict[str, _Batch] = {}
        self._complete: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._added = self._left = 0  # bytes; each counter has one writer
        self._hurries = False
        self._closing = threading.Event()
        self._until = 0.0  # the time for attempts, once closing
        self._thread = threading.Thread(target=self._run, name="capture-store", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(self, hour: str, lines: list[bytes]) -> None:
        """Keep them for the next object, as far as memory allows."""
        kept = self._fitting(lines)
        if len(kept) < len(lines):
            self._metrics.add("capture_dropped_total", len(lines) - len(kept))
        for line in kept:
            batch = self._open.setdefault(hour, _Batch(hour, time.monotonic()))
            batch.lines.append(line)
            batch.size += len(line) + 1
            if batch.size >= self._limits.batch_bytes:
                self._seal(hour)

    def turn(self) -> None:
        """Hand over the batches that are old enough."""
        oldest = math.inf if self._hurries else time.monotonic() - self._limits.batch_seconds
        for hour in [hour for hour, batch in self._open.items() if batch.begun <= oldest]:
            self._seal(hour)

    def hurry(self) -> None:
        """From now on a batch is complete at the next turn."""
        self._hurries = True

    def close(self) -> None:
        """Write what waits, each batch in one attempt and all in some seconds; what is left then has failed."""
        for hour in list(self._open):
            self._seal(hour)
        self._until = time.monotonic() + _CLOSING
        self._closing.set()
        self._complete.put(None)
        self._thread.join(_CLOSING)
        if self._thread.is_alive():
            log("capture records are lost", level="error", bytes=self._added - self._left)

    def _fitting(self, lines: list[bytes]) -> list[bytes]:
        room = self._limits.buffer - (self._added - self._left)
        for index, line in enumerate(lines):
            room -= len(line) + 1
            if room < 0:
                lines = lines[:index]
                break
        self._added += sum(map(len, lines)) + len(lines)
        return lines

    def _seal(self, hour: str) -> None:
        self._complete.put(self._open.pop(hour))

    def _run(self) -> None:
        while (batch := self._complete.get()) is not None:
            written = self._write(_new_name(batch.hour), _joined(batch.lines))
            self._left += batch.size
            self._metrics.add("capture_written_total" if written else "capture_failed_total", len(batch.lines))

    def _write(self, path: str, content: bytes) -> bool:
        """Whether it was written, with as many attempts as can help. The same name each time: no record comes twice."""
        for attempt in range(_ATTEMPTS):
            if self._closing.is_set() and time.monotonic() > self._until:
                return False
            try:
                self._store.put(path, content)
            except Exception as exc:  # noqa: BLE001  whatever it is, the next batch is tried again
                self._trouble.tell(exc)
                if getattr(exc, "exit_code", None) != _TEMPORARY or self._closing.is_set():
                    return False
                self._closing.wait(min(_LONGEST_PAUSE, _PAUSE * 2**attempt))
            else:
                return True
        return False


def _new_name(hour: str) -> str:
    """A name below an hour that no other process uses."""
    return f"{hour}/{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}.jsonl"


def _joined(lines: list[bytes]) -> bytes:
    return b"\n".join([*lines, b""])
