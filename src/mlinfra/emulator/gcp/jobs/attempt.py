"""One attempt at a job: a metadata server, containers, their lines while they run, how they ended."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.jobs import faults, logs, replicas
from mlinfra.emulator.gcp.jobs.containers import Containers, Start
from mlinfra.emulator.gcp.jobs.states import GRACE
from mlinfra.emulator.jobs.hosted import free_ports, longest
from mlinfra.emulator.jobs.pump import Line, LogPump
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.jobs.job import Job
    from mlinfra.emulator.gcp.jobs.replicas import Replica, Task
    from mlinfra.emulator.gcp.metadata.instance import Instance

# What is installed already is not installed again; `--prefix`, since an interpreter at hand is not the job's own.
_INSTALL = """\
python3 -m pip install --quiet --no-build-isolation --no-warn-script-location --prefix {folder} {files} || exit 1
export PYTHONPATH="$(echo {folder}/lib/python3*/site-packages)${{PYTHONPATH:+:$PYTHONPATH}}"
exec python3 "$@"
"""


class Attempt:
    """Uses a folder and a name of its own; `clear` gives all back. `containers` are what it has on the host."""

    def __init__(self, emulator: GcpEmulator, job: Job, folder: Path, name: str) -> None:
        self._emulator = emulator
        self._job = job
        self._replicas = replicas.of(job.asked.job_spec)
        self.containers = Containers(emulator.host, folder, name, emulator.jobs.linger)
        self._machines: list[Instance] = []
        self._pump = LogPump(self.containers.lines, self._log, emulator.clock.ahead)

    def start(self) -> None:
        """Queue the containers. JobEnd where this machine, or the service, cannot run them."""
        ports = free_ports(each.host for each in self._replicas)
        try:
            contents = [self._emulator.artifacts.contents(each.task.image) for each in self._replicas]
        except Refusal as exc:
            raise faults.unusable(exc.message) from exc
        if any(each.interpreter() != contents[0].interpreter() for each in contents):
            raise faults.unusable("Replicas whose images hold different Pythons are not emulated.")
        starts = [
            Start(replica, self._command(replica, each.command), self._variables(replica, ports))
            for replica, each in zip(self._replicas, contents, strict=True)
        ]
        speed = self._emulator.clock.speed
        try:
            self.containers.start(
                starts,
                contents[0].interpreter(),
                longest=longest(self._job.timeout, speed),
                grace=GRACE / speed,
            )
        except CapabilityError as exc:
            raise faults.unusable(f"The container cannot run on this emulator's machine: {exc.what}") from exc

    def carry(self, *, last: bool = False) -> None:  # noqa: ARG002  nothing is kept back for the last time
        """Carry new lines to the log."""
        self._pump.pump()

    def check(self) -> None:
        """Raise JobEnd where the containers ended badly."""
        rank, code = self.containers.end()
        if code:
            raise faults.exited(self._replicas[rank].tag, code, self._emulator.project_number, self._job.id)

    def clear(self) -> None:
        """Leave neither processes nor files nor ports behind."""
        self.containers.clear()
        for machine in self._machines:
            self._emulator.metadata.close(machine)

    def _variables(self, replica: Replica, ports: Sequence[int]) -> dict[str, str]:
        machine = self._emulator.metadata.open(self._job.account, {"name": f"cmle-training-{replica.tag}"})
        self._machines.append(machine)
        number = self._emulator.project_number
        return {
            **replicas.variables(self._job.asked, replica, self._replicas, ports, number),
            **machine.variables(),
            **replica.task.variables,
        }

    def _command(self, replica: Replica, entrypoint: Sequence[str]) -> list[str]:
        if not replica.task.module:
            return _entrypoint(replica.task, entrypoint)
        folder = self.containers.folder / "packages" / replica.tag
        folder.mkdir(parents=True)
        files = [folder / uri.rpartition("/")[2] for uri in replica.task.packages]
        try:
            for uri, file in zip(replica.task.packages, files, strict=True):
                self._emulator.storage.download(uri, file, self._job.account)
        except Refusal as exc:
            raise faults.unusable(f"The package cannot be downloaded: {exc.message}") from exc
        return _of_packages(replica.task, folder, files)

    def _log(self, rank: int, lines: list[Line]) -> None:
        entries = [{"timestamp": line.at, **logs.payload(line.text)} for line in lines]
        tag = self._replicas[rank].tag
        resource = logs.resource(self._emulator.project, self._job.id, tag)
        try:
            self._emulator.logs.write(tag, resource, logs.labels(self._job.id, tag), entries, self._job.account)
        except Refusal:  # an account that may not write logs runs without them
            return


def _entrypoint(task: Task, entrypoint: Sequence[str]) -> list[str]:
    """What a container runs: `command` in the place of the image's entry point, and `args`."""
    own = list(task.command) or ["python3" if word == "{python}" else word for word in entrypoint]
    if not own:
        raise faults.unusable(f"The entry point of the image {task.image} is not emulated: give a command")
    return [*own, *task.args]


def _of_packages(task: Task, folder: Path, files: Sequence[Path]) -> list[str]:
    """Install the packages where nothing else is, then run the module, as the service's executor images do."""
    script = _INSTALL.format(folder=shlex.quote(str(folder / "installed")), files=shlex.join(map(str, files)))
    return ["/bin/sh", "-c", script, "sh", "-m", task.module, *task.args]
