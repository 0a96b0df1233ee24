"""Servers as process trees on one core: started, waited for, counted from /proc, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from servingbench.client import LoadError, ask, check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from servingbench.client import Message

_TICKS = os.sysconf("SC_CLK_TCK")
_UNTIL_READY = 120.0  # seconds
_PAUSE = 0.004  # seconds between two questions whether a server is ready
_UNTIL_ENDED = 15.0  # seconds after SIGTERM
_PARENT, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM = 1, 11, 12, 13, 14  # fields of /proc/PID/stat after the name
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Command:
    """How a server is started. `{port}` in words, variables and files stands for its port."""

    words: Sequence[str]
    folder: Path  # to run in; files are written there first
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A server's process tree."""

    def __init__(self, name: str, command: Command, core: int | None) -> None:
        self.name = name
        self.address = ("127.0.0.1", free_port())
        port = str(self.address[1])
        command.folder.mkdir(parents=True, exist_ok=True)
        for path, text in command.files.items():
            (command.folder / path).write_text(text.replace("{port}", port))
        self.log = command.folder / f"{name}.log"
        bin_folder = str(Path(command.words[0]).parent)
        variables = {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(command.folder),
            **_SINGLE_THREADED,
            **{key: value.replace("{port}", port) for key, value in command.variables.items()},
        }
        cores = os.sched_getaffinity(0) if core is None else {core}
        self.started = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [word.replace("{port}", port) for word in command.words],
                cwd=command.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509  no threads here
            )

    def wait(self, message: Message, read: Callable[[bytes], object]) -> float:
        """Ask until the first right answer; the seconds since the start. Raises LoadError where none comes."""
        until = self.started + _UNTIL_READY
        while time.perf_counter() < until:
            if self.process.poll() is not None:
                raise LoadError(f"it ended with {self.process.returncode}: {self.last_words()}")
            with suppress(OSError, LoadError):
                answer = ask(self.address, message.data, patience=5.0)
                if answer.status == 200:  # noqa: PLR2004  OK
                    seconds = time.perf_counter() - self.started
                    check(read(answer.body), message.expected)
                    return seconds
            time.sleep(_PAUSE)
        raise LoadError(f"no right answer within {_UNTIL_READY:.0f} s: {self.last_words()}")

    def cpu(self) -> float:
        """Seconds of CPU that the whole tree has used, ended threads and reaped processes included."""
        return sum(_cpu_of(pid) for pid in tree(self.process.pid))

    def pss(self) -> int:
        """Bytes of memory of the whole tree; what it shares with others is divided among them."""
        return sum(_pss_of(pid) for pid in tree(self.process.pid))

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:])[-500:]

    def stop(self) -> None:
        """End the whole session that it started, gently first."""
        pids = tree(self.process.pid)
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_UNTIL_ENDED)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids[1:]:
            with suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[_PARENT]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_of(pid: int) -> float:
    try:
        fields = _stat(pid)
    except OSError:
        return 0.0
    return sum(int(fields[index]) for index in (_USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM)) / _TICKS


def _pss_of(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
