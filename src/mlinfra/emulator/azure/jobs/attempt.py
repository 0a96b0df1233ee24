"""One attempt at a job: its data, its containers, their lines while they run, how they ended, what they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.jobs import bindings, data, faults, processes, variables
from mlinfra.emulator.azure.jobs.containers import Containers, Start
from mlinfra.emulator.azure.jobs.data import Carrier
from mlinfra.emulator.azure.jobs.states import GRACE
from mlinfra.emulator.azure.jobs.uris import Uris
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.jobs.hosted import free_ports, longest
from mlinfra.emulator.jobs.pump import Line, LogPump
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.azure.jobs.data import Binding
    from mlinfra.emulator.azure.jobs.job import Job
    from mlinfra.emulator.azure.jobs.jobs import Jobs
    from mlinfra.emulator.azure.jobs.logs import LogFiles
    from mlinfra.emulator.azure.jobs.processes import Process
    from mlinfra.emulator.programs import Contents

_KEPT = ("outputs", "logs")  # folders of the working folder that become the run's own files


class Attempt:
    """Uses a folder and a name of its own; `clear` gives all back. `containers` are what it has on the host."""

    def __init__(self, jobs: Jobs, job: Job, logs: LogFiles, folder: Path, name: str) -> None:
        self._emulator = jobs.emulator
        self._jobs = jobs
        self._job = job
        self._workspace = jobs.emulator.workspaces.get(job.id)
        self._uris = Uris(jobs.emulator, self._workspace)
        self._carrier = Carrier(jobs.emulator.storage, self._uris, job.principal)
        self._processes = processes.of(job.asked)
        self.containers = Containers(jobs.emulator.host, folder, name, job.name)
        self._logs = logs
        self._pump = LogPump(self.containers.lines, self._log, self._emulator.clock.ahead)
        self._machine: dict[str, str] = {}

    @property
    def tail(self) -> str:
        """What the processes wrote last."""
        return self._logs.tail()

    def contents(self) -> Contents:
        """What the job's image holds. JobEnd where it cannot be had."""
        try:
            image = self._jobs.image(self._job)
            return self._emulator.containers.contents(image, self._job.principal)
        except Refusal as exc:
            raise faults.no_image(exc.message) from exc

    def start(self, contents: Contents) -> None:
        """Bring code and data, and queue the processes. JobEnd where this machine, or the service, cannot."""
        count = processes.nodes(self._processes)
        self.containers.prepare(count)
        paths = [self._bring(node) for node in range(count)]
        machine = self._emulator.principals.get(self._job.principal) if self._jobs.has_identity(self._job) else None
        self._machine = self._emulator.msi.open(machine) if machine else {}
        common = variables.of(self._emulator, self._workspace, self._job, self._jobs.run_token(self._job))
        ports = free_ports(each.host for each in self._processes)
        speed = self._emulator.clock.speed
        try:
            self.containers.start(
                [self._started(each, paths[each.node], common, ports) for each in self._processes],
                contents.interpreter(),
                longest=longest(self._job.timeout, speed),
                grace=GRACE / speed,
            )
        except CapabilityError as exc:
            raise faults.unusable(exc.what) from exc

    def carry(self, *, last: bool = False) -> None:
        """Carry new lines to the log files; the `last` time all of them."""
        self._pump.pump()
        self._logs.write(now=last)

    def check(self) -> None:
        """Raise JobEnd where a process ended badly."""
        code = self.containers.exit_code()
        if code:
            raise faults.exited(code, self.tail)

    def deliver(self, *, whole: bool) -> None:
        """Take the outputs away: all of them, or those that are mounts. JobEnd where they may not be written."""
        for node in range(processes.nodes(self._processes)):
            for each in data.outputs(self._job.asked):
                if not each.direct and (whole or each.mounted):
                    self._carrier.take(each, self._output(node, each))
            for name in _KEPT:
                folder = self.containers.work(node) / name
                at = self._uris.artifacts(self._job.name)
                self._carrier.take_folder(at._replace(name=f"{at.name}/{name}"), folder, "")

    def clear(self) -> None:
        """Leave neither processes nor files nor secrets behind."""
        self.containers.clear()
        self._emulator.msi.close(self._machine)

    def _bring(self, node: int) -> tuple[dict[str, str], dict[str, str]]:
        """Bring code and inputs to a node, make room for its outputs. Returns what stands for each of them."""
        code = self._jobs.code(self._job)
        if code:
            service = self._jobs.agents.of(self._workspace)
            self._carrier.bring_code(code, self.containers.work(node), service)
        inputs = data.literals(self._job.asked)
        for each in data.inputs(self._job.asked):
            place = self.containers.data(node, f"INPUT_{each.name}")
            inputs[each.name] = each.uri if each.direct else self._inside(node, self._carrier.bring(each, place))
        outputs = {}
        for each in data.outputs(self._job.asked):
            path = self._output(node, each)
            (path.parent if each.is_file else path).mkdir(parents=True, exist_ok=True)
            if each.mounted and not each.is_file:
                self._carrier.mount(each, path)
            outputs[each.name] = each.uri if each.direct else self._inside(node, path)
        return inputs, outputs

    def _started(
        self,
        process: Process,
        paths: tuple[dict[str, str], dict[str, str]],
        common: dict[str, str],
        ports: list[int],
    ) -> Start:
        inputs, outputs = paths
        values = {
            **{f"inputs.{name}": value for name, value in inputs.items()},
            **{f"outputs.{name}": value for name, value in outputs.items()},
        }
        told = {
            **common,
            **variables.data(inputs, outputs),
            **self._machine,
            **processes.variables(self._job.asked, process, self._processes, ports),
            **{name: str(value) for name, value in (self._job.asked.get("environmentVariables") or {}).items()},
        }
        return Start(process, bindings.substituted(self._job.asked["command"], values), told)

    def _output(self, node: int, output: Binding) -> Path:
        """Where an output is written."""
        folder = self.containers.data(node, output.name)
        return folder / output.uri.rstrip("/").rpartition("/")[2] if output.is_file else folder

    def _inside(self, node: int, path: Path) -> str:
        return self.containers.inside(node, path)

    def _log(self, rank: int, lines: list[Line]) -> None:
        self._logs.add(self._processes[rank], self._processes, lines)
