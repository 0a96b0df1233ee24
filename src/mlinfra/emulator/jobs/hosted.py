"""One attempt at a job as the host runs it: a name on the host, and a folder that is gone with it."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING, Any

from mlinfra.errors import NotFound
from mlinfra.host import processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mlinfra.host import Host

TOLD = ("MLINFRA_RESULT", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")  # by the host, to its own jobs
LIVE = frozenset({"running", "stopping"})
_ENDED = frozenset({"succeeded", "failed", "stopped", "timed_out"})
_LONGEST = 1e8  # real s, the host's own limit
_SPARE = 600.0  # virtual s beyond a job's own limit, after which nobody has stopped it who should have


class Hosted:
    """`folder` is not there yet; `create` makes the host's job."""

    def __init__(self, host: Host, folder: Path, name: str) -> None:
        self.folder = folder
        self._host = host
        self._name = name
        self._work = ""

    def create(self, body: Mapping[str, Any]) -> None:
        """Queue it, with the host's CreateJob.

        Raises:
            CapabilityError: there is no such Python on this machine.
        """
        self._work = self._host.call("CreateJob", {"name": self._name, **body})["folder"]

    def state(self) -> str:
        """Empty while it waits for a place on this machine, `running`, or `ended`."""
        state = self._host.call("DescribeJob", {"name": self._name})["state"]
        return "running" if state in LIVE else "ended" if state in _ENDED else ""

    def exit_code(self) -> int:
        """How it ended, once it has: 0, or the code of the first process to fail."""
        job = self._host.call("DescribeJob", {"name": self._name})
        code = job["exit_code"]
        return int(job["state"] != "succeeded") if code is None else int(code)

    def lines(self, token: str | None) -> dict[str, Any]:
        """A page of what its processes wrote."""
        return self._host.call("GetJobLogs", {"name": self._name, "token": token})

    def stop(self) -> None:
        """Send SIGTERM. Safe to repeat."""
        self._host.call("StopJob", {"name": self._name})

    def kill(self) -> None:
        """End every process now."""
        self.stop()
        if self._work:
            processes.exterminate(self._work)

    def clear(self) -> None:
        """Leave nothing behind, neither processes nor files."""
        try:
            self.kill()
            self._host.call("DescribeJob", {"name": self._name})  # the host settles what was killed
            self._host.call("DeleteJob", {"name": self._name})
        except NotFound:  # never started
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


def longest(limit: float, speed: float) -> float:
    """The real seconds for which the host lets a job run that may run for so many virtual ones.

    An emulator that was killed cannot end it.
    """
    return min(_LONGEST, (limit + _SPARE) / speed)


def free_ports(hosts: Iterable[str]) -> list[int]:
    """A port at each of these addresses of this machine that nobody uses now."""
    found = []
    for host in hosts:
        with socket.socket() as probe:
            probe.bind((host, 0))
            found.append(int(probe.getsockname()[1]))
    return found
