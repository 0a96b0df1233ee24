"""The processes of a deployment: started, awaited, watched, started again, and ended without a failed request."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mlinfra.errors import MlinfraError
from mlinfra.host import isolation, logs, processes
from mlinfra.host.commands import with_python_first
from mlinfra.host.gateway.pool import Pool
from mlinfra.host.gateway.probe import is_healthy
from mlinfra.host.isolation import BUBBLEWRAP
from mlinfra.host.logs import LogWriter
from mlinfra.host.plan import PORT, PYTHON
from mlinfra.host.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlinfra.host.plan import ServerPlan

LIVENESS_PERIOD = 5.0  # seconds between two looks at a server that is ready
LIVENESS_FAILURES = 3  # in a row, until a server counts as hung
BACKOFF, LONGEST_BACKOFF = 0.2, 30.0  # seconds before a server is started again, doubled each time
_STEADY_SECONDS = 60.0  # a server that was ready for so long starts again without a longer pause
_FIRST_PAUSE, _PAUSE_GROWTH, _LONGEST_PAUSE = 0.02, 1.3, 0.5  # between two looks at a server that starts
_CHUNK = 1 << 16


class Server:
    """One model server process and the connections to it."""

    def __init__(self, plan: ServerPlan, python: str, folder: Path, log_folder: Path, source: str) -> None:
        self.ready = False
        self.port = free_port()
        self.pool = Pool(self.port)
        self._plan = plan
        self._python = python
        self._folder = folder
        self._work = str(folder)
        self._logs = LogWriter(log_folder, source)
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        plan = self._plan
        port = str(self.port)
        filled = [self._python if part == PYTHON else part.replace(PORT, port) for part in plan.argv]
        environment = {
            **with_python_first(plan.environment, self._python, self._folder),
            **isolation.variables(plan.isolation, self._folder),
            processes.WORK: self._work,
        }
        self._process = await asyncio.create_subprocess_exec(
            *isolation.enter(plan.isolation, plan.mounts, filled, self._folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._folder,
            env={name: port if value == PORT else value for name, value in environment.items()},
            start_new_session=True,
            preexec_fn=processes.die_with_parent,
        )
        self._output = asyncio.get_running_loop().create_task(self._copy_output(self._process))

    async def is_healthy(self) -> bool:
        """Whether it answers 200 on its health route."""
        return await is_healthy(self.port, self._plan.health_route)

    async def ended(self) -> int:
        """Wait for the process to end; its exit code."""
        return await self._process.wait() if self._process else 0

    def has_ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.returncode if self._process else 0

    async def drain(self, patience: float) -> None:
        """Wait until its requests are answered, at most so long."""
        self.ready = False
        deadline = time.monotonic() + patience
        while self.pool.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End the process and all that it started: politely, and by force after its grace."""
        self.ready = False
        self.pool.close()
        if self._process and self._process.returncode is None:
            processes.kill([self._leader(self._process.pid)], signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self._plan.stop_grace)
        await asyncio.get_running_loop().run_in_executor(None, processes.exterminate, self._work)
        if self._process:
            await self._process.wait()
            _reap()
        if self._output:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._output, 1.0)
        self._logs.close()

    def _leader(self, pid: int) -> int:
        inner = processes.descendants(pid) if self._plan.isolation.kind == BUBBLEWRAP and self._plan.mounts else []
        return inner[0] if inner else pid

    async def _copy_output(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout:
            while data := await process.stdout.read(_CHUNK):
                self._logs.feed(data)


def _reap() -> None:
    """Collect orphans that this process has adopted; the loop collects its own children."""
    for process in processes.table().values():
        if process.parent == os.getpid() and process.state == "Z":
            with suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


class Fleet:
    """The servers of one deployment."""

    def __init__(
        self, name: str, plan: ServerPlan, python: str, folder: Path, log_folder: Path, changed: Callable[[], None]
    ) -> None:
        self.name = name
        self.state = "creating"
        self.reason = ""
        self.restarts = 0
        self._plan = plan
        self._python = python
        self._folder = folder
        self._logs = log_folder
        self._changed = changed
        self._servers: dict[int, Server] = {}
        self._keepers: dict[int, asyncio.Task[None]] = {}
        self._deadline = time.monotonic() + plan.start_timeout
        self._was_ready = False

    @property
    def ready_servers(self) -> list[Server]:
        """Those that take requests."""
        return [server for server in self._servers.values() if server.ready]

    def pick(self) -> Server | None:
        """The ready server with the fewest requests on their way."""
        ready = self.ready_servers
        if len(ready) <= 1:
            return ready[0] if ready else None
        return min(ready, key=lambda server: server.pool.in_flight)

    def scale(self, replicas: int) -> None:
        """Keep so many servers from now on; those too many are drained."""
        loop = asyncio.get_running_loop()
        for number in range(replicas):
            if number not in self._keepers and self.state != "failed":
                self._keepers[number] = loop.create_task(self._keep(number))
        for number in [number for number in self._keepers if number >= replicas]:
            self._keepers.pop(number).cancel()

    async def end(self, patience: float) -> None:
        """Drain and stop every server."""
        await asyncio.gather(*(server.drain(patience) for server in self._servers.values()))
        keepers = list(self._keepers.values())
        self._keepers.clear()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, number: int) -> None:
        """Have one server running until cancelled."""
        pause = BACKOFF
        failures = 0
        while True:
            source = f"{self.name}.replica-{number}"
            server = Server(self._plan, self._python, self._folder / str(number), self._logs, source)
            self._servers[number] = server
            began = time.monotonic()
            try:
                reason = await self._live(server)
            finally:
                await self._retire(number, server)
            failures += 1
            if not self._was_ready and (time.monotonic() >= self._deadline or failures >= 3):
                self._fail(source, reason)
                return
            self.restarts += 1
            self.reason = f"{source}: {reason}"
            self._changed()
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = BACKOFF
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_BACKOFF)
