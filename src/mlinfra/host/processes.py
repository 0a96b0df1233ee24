"""Processes as the operating system tells them: who is alive, who descends from whom, how much memory they hold.

A process is known by its id and a mark that no other process of that id can have (boot, namespace, start), so
a recycled id is never taken for the process that a record speaks of. Linux is read from /proc, others from `ps`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from ctypes import CDLL

WORK = "MLINFRA_HOST_WORK"  # names the job or endpoint that a process belongs to; inherited by all it starts
_NAME = re.compile(rb"(?:\A|\0)" + WORK.encode() + rb"=([^\0]*)")
_PROC = Path("/proc")
_LINUX = sys.platform == "linux"
_DEAD = "ZX"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_SUBREAPER, _DEATH_SIGNAL = 36, 1  # prctl(2): PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG


class Process(NamedTuple):
    """One line of the process table. `resident` in bytes."""

    pid: int
    parent: int
    state: str
    started: str
    resident: int


def look(pid: int) -> Process | None:
    """The process of that id, None where there is none."""
    if not _LINUX:
        return _listed(["-p", str(pid)]).get(pid)
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything
    return Process(pid, int(fields[1]), fields[0], fields[19], int(fields[21]) * _PAGE)


def table() -> dict[int, Process]:
    """Every process that may be seen, by id."""
    if not _LINUX:
        return _listed(["-ax"])
    found = (look(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return {process.pid: process for process in found if process}


def mark(pid: int) -> str:
    """What tells this process from any other of its id; empty where it has ended."""
    process = look(pid)
    return f"{_place()} {process.started}" if process and process.state[0] not in _DEAD else ""


def is_alive(pid: int | None, known: str | None) -> bool:
    """Whether the process that had this mark is still there.

    One in another process namespace of the same boot cannot be seen and counts as alive.
    """
    if not pid or not known:
        return False
    place = known.rpartition(" ")[0]
    if place != _place():
        return place.partition(" ")[0] == _place().partition(" ")[0]
    return mark(pid) == known


def descendants(ancestor: int, processes: Mapping[int, Process] | None = None) -> list[int]:
    """The ids of all living children, children's children and so on."""
    children: dict[int, list[int]] = {}
    for process in (processes if processes is not None else table()).values():
        if process.state[0] not in _DEAD:
            children.setdefault(process.parent, []).append(process.pid)
    found, ahead = [], [ancestor]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def belonging(work: str, ancestor: int | None = None) -> list[int]:
    """The processes of a piece of work: those that carry its name or one below it, and the ancestor's descendants.

    Descendants that carry the name of other work are left out: a job may submit a job that outlives it.
    """
    processes = table()
    names = _names(processes)
    below = set(descendants(ancestor, processes)) if ancestor else set()
    others = set()
    found = []
    for pid in processes:
        name = names.get(pid, "")
        inside = name == work or name.startswith(f"{work}/")
        if pid in below and name and not inside:
            others.add(pid)
            others.update(descendants(pid, processes))
        elif pid in below or inside:
            found.append(pid)
    return [pid for pid in found if pid not in others and pid != os.getpid()]


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Signal each process; those that are gone are no error."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def exterminate(work: str, ancestor: int | None = None, *, patience: float = 5.0) -> list[int]:
    """Kill every process of a piece of work, and those they start meanwhile. Returns what would not die."""
    deadline = time.monotonic() + patience
    while living := [pid for pid in belonging(work, ancestor) if mark(pid)]:
        kill(living)
        if time.monotonic() > deadline:
            return living
        time.sleep(0.01)
    return []


def proportional(pids: Collection[int], processes: Mapping[int, Process]) -> int:
    """The memory that these processes hold in bytes, pages shared between processes counted by share."""
    return sum(_share(processes[pid]) for pid in pids if pid in processes)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends. Without effect outside Linux."""
    _prctl(_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. Without effect outside Linux."""
    _prctl(_DEATH_SIGNAL, signal.SIGKILL)


def spawn_detached(argv: Sequence[str], *, work: str, output: Path, environment: Mapping[str, str]) -> None:
    """Start a process that survives this one, its terminal and its session; output is appended to a file.

    It is nobody's child, so whoever started it neither waits for it nor leaves a zombie.
    """
    output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with output.open("ab") as sink:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *argv],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            env={**environment, WORK: work},
            start_new_session=True,
        )


@cache
def _place() -> str:
    """Boot and process namespace of this process."""
    if not _LINUX:
        return "here here"
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"


def _names(pids: Iterable[int]) -> dict[int, str]:
    """The name of the work that each process belongs to, as far as its environment may be read."""
    texts = {pid: _environment(pid) for pid in pids} if _LINUX else _environments()
    found = {pid: _NAME.search(text) for pid, text in texts.items()}
    return {pid: match[1].decode(errors="replace") for pid, match in found.items() if match}


def _environment(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return b""


def _environments() -> dict[int, bytes]:
    """`ps` shows the environment behind the command, its variables parted by blanks."""
    command = ["ps", "-axww", "-E", "-o", "pid=,command="]
    lines = subprocess.run(command, capture_output=True, check=False).stdout.splitlines()
    parted = (line.strip().partition(b" ") for line in lines)
    return {int(pid): b"\0" + rest.replace(b" ", b"\0") for pid, _, rest in parted}


def _share(process: Process) -> int:
    try:
        lines = (_PROC / str(process.pid) / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended, or this system does not tell
        return process.resident if mark(process.pid) else 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _prctl(option: int, argument: int) -> None:
    if _LINUX:
        _libc().prctl(option, argument, 0, 0, 0)


@cache
def _libc() -> CDLL:
    """Loaded once, and before any fork: a forked child had better load nothing."""
    from ctypes import CDLL  # noqa: PLC0415  only who supervises needs it

    return CDLL(None)


def _listed(selection: Sequence[str]) -> dict[int, Process]:
    """`ps` as every Unix has it; `lstart` is five words."""
    command = ["ps", *selection, "-o", "pid=,ppid=,stat=,rss=,lstart="]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    found = {}
    for line in lines:
        pid, parent, state, resident, *started = line.split()
        found[int(pid)] = Process(int(pid), int(parent), state, "-".join(started), int(resident) * 1024)
    return found
