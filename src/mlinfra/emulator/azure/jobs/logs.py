"""A job's lines on their way to the run's folder of the workspace's storage: a file for each process.

The service appends; here a file is written anew with all of its lines, at most twice a second.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Self

from mlinfra.emulator.azure.jobs.processes import log_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlinfra.emulator.azure.jobs.processes import Process
    from mlinfra.emulator.azure.storage.names import Address
    from mlinfra.emulator.azure.storage.storage import Storage
    from mlinfra.emulator.jobs.pump import Line

_TEXT = "text/plain"
_PAUSE = 0.5  # real seconds between two writes of a file
_TAIL = 20  # lines


class LogFiles:
    """The log files of one job, over all attempts, gathered in a folder that is gone in the end."""

    def __init__(self, storage: Storage, at: Address, folder: Path) -> None:
        self._storage = storage
        self._at = at
        self._folder = folder
        self._changed: set[str] = set()
        self._written = 0.0
        self._tail: dict[int, list[str]] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_exc: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, process: Process, processes: Sequence[Process], lines: Sequence[Line]) -> None:
        """Take lines of a process."""
        name = log_file(process, processes)
        texts = [line.text for line in lines]
        with self._local(name).open("a", encoding="utf-8", errors="replace") as file:
            file.writelines(f"{text}\n" for text in texts)
        self._changed.add(name)
        self._tail[process.rank] = [*self._tail.get(process.rank, ()), *texts][-_TAIL:]

    def write(self, *, now: bool = False) -> None:
        """Write what has changed, if it is time or must be."""
        if not self._changed or (not now and time.monotonic() - self._written < _PAUSE):
            return
        for name in sorted(self._changed):
            target = self._at._replace(name=f"{self._at.name}/{name}")
            self._storage.write(str(target), self._local(name), content_type=_TEXT)
        self._changed.clear()
        self._written = time.monotonic()

    def tail(self) -> str:
        """The last lines of the first process that wrote any."""
        return "\n".join(next((lines for _, lines in sorted(self._tail.items()) if lines), []))

    def _local(self, name: str) -> Path:
        return self._folder / name.rpartition("/")[2]
