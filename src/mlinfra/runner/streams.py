"""Passes on what the command prints, line by line and without its secrets, and remembers the end of it."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from threading import Thread
from typing import IO, TYPE_CHECKING

from mlinfra.runner.metrics import Metric, read_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.runner.vault import Masker

_CHUNK = 1 << 16  # bytes
_LONGEST_LINE = 1 << 18  # bytes held back for want of a line's end
_REMEMBERED = 40  # lines
_REMEMBERED_LINE = 2_000  # characters


class Stream:
    """A thread that reads one pipe of the command until all who hold it have closed it."""

    def __init__(self, pipe: IO[bytes], sink: IO[bytes], masker: Masker, metrics: list[Metric]) -> None:
        self.last: deque[str] = deque(maxlen=_REMEMBERED)
        self._pipe = pipe
        self._sink = sink
        self._masker = masker
        self._metrics = metrics
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until everything is read, at most so many seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        with self._pipe:
            for line in _lines(self._pipe, self._masker):
                shown = self._masker.hide(line)
                with suppress(OSError):  # nobody listens; the command must not wait for them
                    self._sink.write(shown)
                    self._sink.flush()
                self._remember(line, shown)

    def _remember(self, line: bytes, shown: bytes) -> None:
        text = shown.decode(errors="replace").rstrip()
        if text:
            self.last.append(text[-_REMEMBERED_LINE:])
        metric = read_line(line.decode(errors="replace").rstrip())
        if metric is not None:
            self._metrics.append(metric)


def _lines(pipe: IO[bytes], masker: Masker) -> Iterator[bytes]:
    """Lines with their ends; a carriage return ends one too, so that progress bars are seen while they move."""
    held = b""
    while True:
        chunk = os.read(pipe.fileno(), _CHUNK)
        held += chunk
        *lines, held = _split(held)
        yield from lines
        if not chunk:
            if held:
                yield held
            return
        if len(held) > _LONGEST_LINE:  # what may be the beginning of a secret stays for the next turn
            held = masker.hide(held)
            cut = len(held) - masker.longest
            yield held[:cut]
            held = held[cut:]


def _split(held: bytes) -> list[bytes]:
    """The lines in `held`, the last one without an end, perhaps empty."""
    lines = held.replace(b"\r\n", b"\n").replace(b"\r", b"\r\n").split(b"\n")
    return [*(line if line.endswith(b"\r") else line + b"\n" for line in lines[:-1]), lines[-1]]
