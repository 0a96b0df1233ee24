"""One model server process and the connections to it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from mlinfra.host import isolation, processes
from mlinfra.host.commands import with_python_first
from mlinfra.host.gateway.pool import Pool
from mlinfra.host.gateway.probe import is_healthy
from mlinfra.host.isolation import BUBBLEWRAP
from mlinfra.host.logs import LogWriter
from mlinfra.host.plan import PORT, PYTHON
from mlinfra.host.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.host.plan import ServerPlan

_CHUNK = 1 << 16
_LAST_WORDS = 1.0  # seconds for output that is still under way when the process has ended


class Server:
    """A process that is started once, gets ready or not, and is ended once."""

    def __init__(self, plan: ServerPlan, python: str, folder: Path, log_folder: Path, source: str) -> None:
        self.source = source
        self.ready = False
        self.port = free_port()
        self.pool = Pool(self.port)
        self._plan = plan
        self._python = python
        self._folder = folder
        self._work = str(folder)
        self._log_folder = log_folder
        self._logs: LogWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._logs = LogWriter(self._log_folder, self.source)
        plan = self._plan
        argv = [self._python if part == PYTHON else part.replace(PORT, str(self.port)) for part in plan.argv]
        self._process = await asyncio.create_subprocess_exec(
            *isolation.enter(plan.isolation, plan.mounts, argv, self._folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._folder,
            env=self._environment(),
            start_new_session=True,
            preexec_fn=processes.die_with_parent,
        )
        self._output = asyncio.get_running_loop().create_task(_copy_output(self._process, self._logs))

    async def is_healthy(self) -> bool:
        """Whether it answers 200 on its health route."""
        return await is_healthy(self.port, self._plan.health_route)

    async def ended(self) -> int:
        """Wait for the process to end; its exit code, negative for the signal that ended it."""
        return await self._process.wait() if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while the process runs."""
        return self._process.returncode if self._process else 0

    async def drain(self, patience: float) -> None:
        """Take no further requests and wait until the last is answered, at most so long."""
        self.ready = False
        with suppress(TimeoutError):
            await asyncio.wait_for(self.pool.quiet.wait(), patience)

    async def stop(self) -> None:
        """End the process and all that it started: politely, and by force after its grace."""
        self.ready = False
        self.pool.close()
        if self._process:
            if self._process.returncode is None:
                processes.kill([self._leader(self._process.pid)], signal.SIGTERM)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), self._plan.stop_grace)
            await asyncio.get_running_loop().run_in_executor(None, processes.exterminate, self._work)
            await self._process.wait()
        if self._output:
            await asyncio.wait([self._output], timeout=_LAST_WORDS)
            self._output.cancel()
        if self._logs:
            self._logs.close()

    def _environment(self) -> dict[str, str]:
        plan = self._plan
        environment = {
            **with_python_first(plan.environment, self._python, self._folder),
            **isolation.variables(plan.isolation, self._folder),
            processes.WORK: self._work,
        }
        return {name: str(self.port) if value == PORT else value for name, value in environment.items()}

    def _leader(self, pid: int) -> int:
        inner = processes.descendants(pid) if self._plan.isolation.kind == BUBBLEWRAP and self._plan.mounts else []
        return inner[0] if inner else pid


async def _copy_output(process: asyncio.subprocess.Process, log: LogWriter) -> None:
    if process.stdout:
        while data := await process.stdout.read(_CHUNK):
            log.feed(data)
