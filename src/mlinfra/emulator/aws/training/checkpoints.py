"""Checkpoints between a node's folder and S3: brought before a run, carried back while it goes on.

By the description of `CheckpointConfig`. A file is carried once it has kept its size and time between two looks, so
that no half of one is; what a look at the end finds is carried as it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.aws.training.store import RoleStore

_Stat = tuple[int, int]  # size, time in nanoseconds


class Checkpoints:
    """One node's checkpoints."""

    def __init__(self, store: RoleStore, uri: str, folder: Path) -> None:
        self._store = store
        self._prefix = f"{uri.rstrip('/')}/"
        self._folder = folder
        self._seen: dict[str, _Stat] = {}
        self._carried: dict[str, _Stat] = {}

    def bring(self) -> None:
        """Fetch what is in S3. The folder is made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._store.bring(self._prefix, self._folder)
        self._seen = self._look()
        self._carried = dict(self._seen)

    def carry(self, *, last: bool = False) -> None:
        """Store what is new. `last` stores everything that is, however young."""
        here = self._look()
        for name, stat in here.items():
            settled = last or self._seen.get(name) == stat
            if settled and self._carried.get(name) != stat:
                with suppress(FileNotFoundError):  # it was removed since
                    self._store.put(f"{self._prefix}{name}", self._folder / name)
                    self._carried[name] = stat
        self._seen = here

    def _look(self) -> dict[str, _Stat]:
        found = {}
        for path in self._folder.rglob("*"):
            try:
                if path.is_file():
                    stat = path.stat()
                    found[path.relative_to(self._folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
            except FileNotFoundError:  # a file that was written beside and moved into place
                continue
        return found
