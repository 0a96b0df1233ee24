"""Runs the user's command in a process group of its own: signals reach all of it, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from threading import Timer
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from mlinfra.runner.problem import Stopped
from mlinfra.runner.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import FrameType

    from mlinfra.runner.metrics import Metric
    from mlinfra.runner.vault import Masker

_RELAYED = (signal.SIGTERM, signal.SIGINT)
_GRACE = 110.0  # s between being asked to stop and being made to; SageMaker ends the container after 120
_LINGER = 5.0  # s for helpers of the command to close its output after it has ended
_LAST_WORDS = 0.5  # s to read what was written before they were made to
_KILLED = 128  # and the signal's number: the exit code that shells give
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_SHELL = "/bin/sh"
# Reads the group to guard, then waits: a word means that all is well, an end without one that the runner is gone.
_GUARD = 'read -r group; read -r word || kill -s KILL -- "-$group"'


class Outcome(NamedTuple):
    """How the command ended."""

    exit_code: int
    reason: str  # "" after success
    last: tuple[str, ...]  # lines it printed last, to stderr if it used that
    metrics: tuple[Metric, ...]  # as printed
    stopped: bool  # somebody asked it to stop


class Relay:
    """Passes the signals that ask the job to stop on to the command; without one, ends the runner's own work."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.received: int | None = None
        self._grace = float(variables.get("MLINFRA_GRACE", _GRACE))
        self._held = False
        self._group: int | None = None
        self._timer: Timer | None = None

    def install(self) -> None:
        """Take the signals. Call it in the main thread."""
        for number in _RELAYED:
            signal.signal(number, self._on_signal)

    def hold(self) -> None:
        """Keep what comes until there is a command to pass it on to."""
        self._held = True

    def follow(self, group: int) -> None:
        """From now on pass signals to this process group."""
        self._group = group
        if self.received is not None:
            self._pass_on(group, self.received)

    def leave(self) -> None:
        """The command has ended."""
        self._held, self._group = False, None
        if self._timer is not None:
            self._timer.cancel()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        if self._group is not None:
            self._pass_on(self._group, number)
        elif not self._held:
            raise Stopped(number)

    def _pass_on(self, group: int, number: int) -> None:
        _signal_group(group, number)
        if self._timer is None:
            self._timer = Timer(self._grace, _signal_group, (group, signal.SIGKILL))
            self._timer.daemon = True
            self._timer.start()


def run(command: list[str], folder: Path, variables: Mapping[str, str], masker: Masker, relay: Relay) -> Outcome:
    """Run a command in `folder` with exactly these variables, pass on what it prints, and wait for its end.

    When it ends, so does every process of its group; when this runner is killed, likewise.
    """
    relay.hold()
    try:
        process = _start(command, folder, variables)
    except OSError as exc:
        relay.leave()
        code = _NOT_FOUND if isinstance(exc, FileNotFoundError) else _NOT_EXECUTABLE
        return Outcome(code, f"the command {command[0]!r} cannot be run: {exc.strerror}", (), (), stopped=False)
    metrics: list[Metric] = []
    with _Guard(process.pid):
        relay.follow(process.pid)
        out = Stream(cast("IO[bytes]", process.stdout), sys.stdout.buffer, masker, metrics)
        err = Stream(cast("IO[bytes]", process.stderr), sys.stderr.buffer, masker, metrics)
        status = process.wait()
        _end_group(process.pid, (out, err))
        relay.leave()
    last = tuple(err.last or out.last)
    code = status if status >= 0 else _KILLED - status
    return Outcome(code, _reason(status, last), last, tuple(metrics), stopped=relay.received is not None)


def _start(command: list[str], folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


class _Guard:
    """Ends a process group when this runner is killed without warning: nobody else could."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        with suppress(OSError):  # an image without a shell goes without
            self._process = subprocess.Popen(
                [_SHELL, "-c", _GUARD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._tell(f"{self._group}\n")

    def __exit__(self, *_exc: object) -> None:
        if self._process is not None:
            with suppress(OSError):
                self._tell("all is well\n")
            self._process.communicate()

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def _end_group(group: int, streams: tuple[Stream, ...]) -> None:
    """End what the command left running, once its output is read or nothing more of it is to be expected."""
    deadline = time.monotonic() + _LINGER
    for stream in streams:
        stream.wait(max(0.0, deadline - time.monotonic()))
    _signal_group(group, signal.SIGKILL)
    for stream in streams:
        stream.wait(_LAST_WORDS)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _reason(status: int, last: tuple[str, ...]) -> str:
    if status == 0:
        return ""
    if status > 0:
        return f"exit code {status}: {last[-1]}" if last else f"exit code {status}"
    name = signal.Signals(-status).name
    cause = "; the machine's memory was too small, or somebody killed it" if name == "SIGKILL" else ""
    return f"ended by {name}{cause}"
