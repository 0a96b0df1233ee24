"""Emulators as processes of their own: start one, find it again, ask it, stop it.

An emulator owns one folder: `lock` is held for as long as it lives, whatever ends it; `emulator.json` tells where it
is and the token of its own requests; `run` holds everything else and is gone when it has stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlinfra.emulator.admin import PREFIX, TOKEN_HEADER
from mlinfra.emulator.isolation import isolated
from mlinfra.emulator.platforms import check
from mlinfra.errors import Conflict, KitFault, Unavailable, UsageError
from mlinfra.host.commands import module, module_environment
from mlinfra.host.processes import belonging, exterminate, is_alive, mark, spawn_detached

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlinfra.emulator.settings import Settings

RECORD = "emulator.json"
LOG = "emulator.log"
REQUEST = "start.json"
RUN = "run"
_LOCK = "lock"
_STARTING = "starting"
_OURS = {RECORD, f".{RECORD}", LOG, REQUEST, RUN, _LOCK, _STARTING}
_TIMEOUT = 60.0  # s for one request of the emulator's own
_PERIOD = 0.05  # s between two looks


@dataclass(frozen=True)
class Running:
    """An emulator that runs. `mark` tells its process from any other of the same id."""

    platform: str
    folder: Path
    url: str
    pid: int
    mark: str
    token: str

    def ask(self, request: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one of the emulator's own requests and return its answer.

        Raises:
            Unavailable: nobody answers.
            UsageError: the emulator refused it.
        """
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=_TIMEOUT)
        try:
            connection.request("POST", PREFIX + request, json.dumps(body or {}), {TOKEN_HEADER: self.token})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as exc:
            raise Unavailable(f"the emulator does not answer: {exc}", given=self.url) from exc
        finally:
            connection.close()
        if error := answer.get("error"):
            raise UsageError(error["what"], allowed=error.get("allowed", ""), todo=error.get("todo", ""))
        return answer


def start(platform: str, folder: Path, settings: Settings, patience: float = 60.0) -> Running:
    """Start an emulator that outlives this process, and wait until it answers.

    What a killed one left in the folder is ended and removed first.

    Raises:
        CapabilityError: there is no emulator of that platform, or its packages are not installed.
        Conflict: one runs in this folder, or somebody listens on the port.
        UsageError: the folder holds other things.
        Unavailable: it did not answer in time; it is ended again.
    """
    check(platform)
    folder = folder.absolute()
    with _starting(folder):
        _check_free(folder, settings.port)
        _clean(folder)
        (folder / LOG).unlink(missing_ok=True)
        (folder / REQUEST).write_text(json.dumps({"platform": platform, "settings": settings.model_dump(mode="json")}))
        environment = {**isolated(os.environ, folder / RUN / "home"), **module_environment()}
        command = module("mlinfra.emulator", str(folder))
        spawn_detached(command, work=str(folder), output=folder / LOG, environment=environment)
        return _wait(folder, patience)


def find(folder: Path) -> Running | None:
    """The emulator that runs in a folder, None where none does."""
    try:
        known = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    running = Running(**{**known, "folder": folder})
    return running if is_alive(running.pid, running.mark) else None


def stop(running: Running, patience: float = 30.0) -> None:
    """End an emulator with every job and server that it started, and remove what it kept. Safe to repeat."""
    with suppress(Unavailable, UsageError):
        running.ask("stop")
    deadline = time.monotonic() + patience
    while is_alive(running.pid, running.mark) and time.monotonic() < deadline:
        time.sleep(_PERIOD)
    _clean(running.folder)


def announce(folder: Path, platform: str, url: str, token: str) -> None:
    """Write down where this process's emulator is."""
    pid = os.getpid()
    known = {"platform": platform, "url": url, "pid": pid, "mark": mark(pid), "token": token}
    draft = folder / f".{RECORD}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(known))
    draft.replace(folder / RECORD)


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the folder for as long as the block lasts. The system lets go of it when the process ends.

    Raises:
        Conflict: an emulator runs in it.
    """
    with (folder / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise _runs_already(folder) from exc
        yield


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """One start at a time in a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    strangers = sorted({path.name for path in folder.iterdir()} - _OURS)
    if strangers:
        raise UsageError(
            "an emulator takes a folder of its own",
            given=f"{folder}, which holds {', '.join(strangers[:3])}",
            todo="name a new or empty folder",
        )
    with (folder / _STARTING).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_free(folder: Path, port: int) -> None:
    with holding(folder):
        pass
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise Conflict("the port is taken", given=port, todo="name another --port, or none") from exc


def _clean(folder: Path) -> None:
    """End what an emulator left running and remove what it kept; its log stays."""
    exterminate(str(folder))
    for name in (RECORD, REQUEST):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / RUN, ignore_errors=True)


def _wait(folder: Path, patience: float) -> Running:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        running = find(folder)
        if running:
            running.ask("status")
            return running
        if not belonging(str(folder)):
            raise KitFault(f"the emulator ended as it started; {_last_line(folder)}")
        time.sleep(_PERIOD)
    _clean(folder)
    raise Unavailable(f"the emulator did not answer within {patience:g} s; {_last_line(folder)}")


def _runs_already(folder: Path) -> Conflict:
    running = find(folder)
    told = f"{running.url}, process {running.pid}" if running else str(folder)
    return Conflict("an emulator runs in this folder", given=told, todo="`mlinfra emulator stop` ends it")


def _last_line(folder: Path) -> str:
    """Where the log is, and how it ends."""
    path = folder / LOG
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return f"{path} ends with: {lines[-1]}" if lines else f"{path} is empty"
