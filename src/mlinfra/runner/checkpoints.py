"""Keeps a job's progress where the next machine finds it, on a platform that takes no folder away by itself.

What lies there is brought before the command starts. While it runs, files that changed are sent every few seconds and
once more at its end, since a machine may be taken back with no more than a short notice.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from mlinfra.runner.digest import files_below
from mlinfra.runner.fetch import fetch
from mlinfra.runner.problem import MISSING, RunnerError
from mlinfra.runner.upload import upload_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTERVAL = 5.0  # s


@contextmanager
def kept(folder: Path, uri: str | None, *, sends: bool = True) -> Iterator[None]:
    """Bring the progress at `uri` into the empty `folder`, and send back what changes there; nothing without `uri`.

    Of several machines only one `sends`. Raises RunnerError where the old progress cannot be brought; what cannot be
    sent is said, and tried again.
    """
    if uri is None:
        yield
        return
    _bring(uri, folder)
    keeper = _Keeper(folder, uri) if sends else None
    try:
        yield
    finally:
        if keeper:
            keeper.end()


class _Keeper:
    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._uri = folder, uri
        self._sent = self._marks()  # what was brought need not go back
        self._over = Event()
        self._thread = Thread(target=self._repeat, name="checkpoints", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._send()

    def _repeat(self) -> None:
        while not self._over.wait(INTERVAL):
            self._send()

    def _send(self) -> None:
        """Send every file that is not as it was sent last."""
        try:
            for name, mark in sorted(self._marks().items()):
                if self._sent.get(name) != mark:
                    upload_file(self._folder / name, f"{self._uri}/{name}")
                    self._sent[name] = mark
        except (OSError, RunnerError) as exc:  # a file may be written or removed meanwhile
            sys.stderr.write(f"mlinfra: the checkpoint was not sent whole: {exc}\n")

    def _marks(self) -> dict[str, tuple[int, int]]:
        """Name -> when it was written and how large it is."""
        found = {}
        for name, file in files_below(self._folder):
            about = file.stat()
            found[name] = (about.st_mtime_ns, about.st_size)
        return found


def _bring(uri: str, folder: Path) -> None:
    """Fetch what is there; nothing is there before the first run."""
    shutil.rmtree(folder)
    try:
        fetch(uri, folder)
    except RunnerError as problem:
        if problem.exit_code != MISSING:
            raise
        folder.mkdir()
