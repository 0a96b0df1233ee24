"""Running commands under watch: their output, their limits, their end, and nothing of them left behind."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, TYPE_CHECKING

from mlinfra.host import processes
from mlinfra.host.isolation import BUBBLEWRAP
from mlinfra.host.logs import LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

STOPPED = "stopped on request"
_READ_BYTES = 1 << 16
_MEMORY_PERIOD = 0.25  # seconds between two looks at the memory; what comes and goes between them is not seen
_DRAIN_SECONDS = 1.0  # how long output is read after the last process has ended
_FORCE_PERIOD = 0.05  # seconds between two rounds of killing what would not end
_SIGNAL_BASE = 128  # a process ended by signal n exits with 128 + n, as shells say it


class End(Enum):
    """Why a run of commands ended."""

    EXITED = "exited"
    STOPPED = "stopped"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"
    NOT_STARTED = "could not start"


@dataclass(frozen=True)
class Command:
    """One process to run. `source` names it in the logs."""

    source: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    sandbox: str = ""  # the isolation's kind


@dataclass(frozen=True)
class Limits:
    """`deadline` on the monotonic clock; `memory` in bytes for all processes together; `grace` in seconds."""

    deadline: float | None = None
    memory: int | None = None
    grace: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """How it ended. `exit_code` is that of the first process to fail, 0 where all succeeded, None where none ran."""

    end: End
    exit_code: int | None = None
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether every process ended by itself and well."""
        return self.end is End.EXITED and self.exit_code == 0


class Signals:
    """Wakes a wait when a child ends or this process is told to stop. One per process, in its main thread."""

    def __init__(self) -> None:
        self.told_to_stop = False
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, _noticed)  # a handler, since what is ignored stays ignored in the children

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is news."""
        return self._reader

    def clear(self) -> None:
        """Forget the news that was read."""
        with suppress(BlockingIOError):
            os.read(self._reader, _READ_BYTES)

    def wait(self, seconds: float) -> None:
        """Sleep until there is news, at most so long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.select(seconds)
        self.clear()

    def _stop(self, _number: int, _frame: object) -> None:
        self.told_to_stop = True


@dataclass
class _Member:
    command: Command
    process: subprocess.Popen[bytes]
    writer: LogWriter
    exit_code: int | None = None

    @property
    def leader(self) -> int:
        """The process that gets the polite signal: the command itself, not the sandbox around it."""
        inner = processes.descendants(self.process.pid) if self.command.sandbox == BUBBLEWRAP else []
        return inner[0] if inner else self.process.pid


@dataclass
class Attempt:
    """One run of some commands at once. When one fails or a limit is met, the others are ended too."""

    commands: Sequence[Command]
    limits: Limits
    logs: Path
    work: str
    signals: Signals
    stop_wanted: Callable[[], bool]
    _members: list[_Member] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _cause: Outcome | None = None
    _patience: float = float("inf")  # when the polite signal has been waited for long enough
    _next_look: float = 0.0

    def run(self) -> Outcome:
        """Start the commands and watch them until none of their processes is left. Blocks."""
        self._selector.register(self.signals, selectors.EVENT_READ)
        try:
            self._start()
            while any(member.exit_code is None for member in self._members):
                self._check()
                self._pass(self._pause())
            return self._outcome()
        finally:
            self._clean()

    def _start(self) -> None:
        for command in self.commands:
            try:
                writer = LogWriter(self.logs, command.source)
                process = _popen(command)
            except OSError as exc:
                self._give_up(Outcome(End.NOT_STARTED, None, f"could not start {command.argv[0]!r}: {exc.strerror}"))
                return
            member = _Member(command, process, writer)
            self._members.append(member)
            self._selector.register(_output(process), selectors.EVENT_READ, member)

    def _pass(self, seconds: float | None) -> None:
        """Wait for news; write output, note ends."""
        for key, _events in self._selector.select(seconds):
            if key.data is None:
                self.signals.clear()
            else:
                self._read(key.data)
        self._reap()

    def _read(self, member: _Member) -> None:
        data = os.read(_output(member.process).fileno(), _READ_BYTES)
        if data:
            member.writer.feed(data)
        else:
            self._selector.unregister(_output(member.process))

    def _reap(self) -> None:
        """Collect ended children, adopted ones as well."""
        members = {member.process.pid: member for member in self._members}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in members:
                self._ended(members[pid], os.waitstatus_to_exitcode(status))

    def _ended(self, member: _Member, code: int) -> None:
        member.process.returncode = code
        member.exit_code = code if code >= 0 else _SIGNAL_BASE - code
        if code and self._cause is None:
            self._give_up(Outcome(End.EXITED, member.exit_code, _words(member.command.source, code)))

    def _check(self) -> None:
        """Look at the limits, and use force where patience has ended."""
        now = time.monotonic()
        if self._cause is None:
            if self.stop_wanted():
                self._give_up(Outcome(End.STOPPED, None, STOPPED))
            elif self.limits.deadline is not None and now >= self.limits.deadline:
                self._give_up(Outcome(End.TIMED_OUT, None, "the time limit was reached"))
            elif self.limits.memory is not None and now >= self._next_look:
                self._next_look = now + _MEMORY_PERIOD
                self._weigh(self.limits.memory)
        elif now >= self._patience:
            processes.kill(processes.belonging(self.work, os.getpid()))

    def _weigh(self, limit: int) -> None:
        table = processes.table()
        family = processes.descendants(os.getpid(), table)
        if sum(table[pid].resident for pid in family) <= limit:
            return  # an upper bound: pages shared between processes count once for each
        # Weighed twice: while processes come and go, what they share may be counted more than once.
        used = min(processes.proportional(family, table) for _ in range(2))
        if used > limit:
            self._give_up(Outcome(End.OUT_OF_MEMORY, None, f"out of memory: {used} bytes in use, {limit} allowed"), 0.0)

    def _give_up(self, cause: Outcome, grace: float | None = None) -> None:
        """End the members that are left: the signal first, force after the grace."""
        self._cause = cause
        self._patience = time.monotonic() + (self.limits.grace if grace is None else grace)
        living = [member for member in self._members if member.exit_code is None]
        if grace is None:
            processes.kill((member.leader for member in living), signal.SIGTERM)
        else:
            processes.kill(processes.belonging(self.work, os.getpid()))

    def _pause(self) -> float | None:
        """Seconds until something must be looked at, None where only news matters."""
        now = time.monotonic()
        if self._cause is not None:
            return max(_FORCE_PERIOD, self._patience - now)
        moments = [] if self.limits.deadline is None else [self.limits.deadline]
        moments += [] if self.limits.memory is None else [self._next_look]
        return max(0.0, min(moments) - now) if moments else None

    def _outcome(self) -> Outcome:
        if self._cause is None:
            return Outcome(End.EXITED, 0)
        codes = [member.exit_code for member in self._members]
        failed = next((code for code in codes if code), codes[0] if codes else None)
        return Outcome(self._cause.end, self._cause.exit_code or failed, self._cause.reason)

    def _clean(self) -> None:
        """Leave no process behind and lose no line that was written."""
        processes.exterminate(self.work, os.getpid())
        deadline = time.monotonic() + _DRAIN_SECONDS
        while len(self._selector.get_map()) > 1 and time.monotonic() < deadline:
            self._pass(0.05)
        self._reap()
        for member in self._members:
            _output(member.process).close()
            member.writer.close()
        self._selector.close()


def _noticed(_number: int, _frame: object) -> None:
    """The wake-up descriptor has already told."""


def _popen(command: Command) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command.argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=command.folder,
        env=dict(command.environment),
        start_new_session=True,
        preexec_fn=processes.die_with_parent,  # noqa: PLW1509  a supervisor has one thread
    )


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise RuntimeError("a supervised process has its output piped")
    return process.stdout


def _words(source: str, code: int) -> str:
    if code >= 0:
        return f"{source} exited with code {code}"
    return f"{source} was killed by {signal.Signals(-code).name}"
