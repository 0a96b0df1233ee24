"""The servers of one deployment: kept at their number, started again when they die, ended without a failed request."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from mlinfra.contract.states import EndpointState
from mlinfra.host import logs
from mlinfra.host.gateway.environment import EnvironmentMissing, python_for
from mlinfra.host.gateway.servers import Server

if TYPE_CHECKING:
    from mlinfra.host.layout import Layout
    from mlinfra.host.plan import ServerPlan

LIVENESS_FAILURES = 3  # in a row, until a server counts as hung
STARTS = 3  # of one server, none of which got ready, until a new deployment has failed
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 30.0  # seconds before a server is started again, doubled each time
_STEADY_SECONDS = 60.0  # after so long the next pause is the first again
_FIRST_LOOK, _LOOK_GROWTH, _LATEST_LOOK = 0.02, 1.3, 0.5  # seconds between two looks at a server that starts
_LAST_LINES = 20


class Fleet:
    """A deployment's servers. Everything runs on the event loop."""

    def __init__(self, layout: Layout, endpoint: str, name: str, plan: ServerPlan, drain_timeout: float) -> None:
        self.reason = ""
        self.restarts = 0
        self._layout = layout
        self._name = name
        self._plan = plan
        self._drain_timeout = drain_timeout
        self._folder = layout.server(endpoint, name)
        self._logs = layout.endpoint_logs(endpoint)
        self._servers: dict[int, Server] = {}
        self._keepers: dict[int, asyncio.Task[None]] = {}
        self._leaving: dict[int, asyncio.Event] = {}
        self._interpreter: asyncio.Task[str] | None = None
        self._deadline = 0.0  # for the first start, set when there is something to start
        self._was_ready = False
        self._failed = False

    @property
    def state(self) -> EndpointState:
        """Ready as long as one server takes requests, updating while all are started again; failed is for good."""
        if self._failed:
            return EndpointState.FAILED
        if not self._was_ready:
            return EndpointState.CREATING
        return EndpointState.READY if self.ready else EndpointState.UPDATING

    @property
    def ready(self) -> list[Server]:
        """The servers that take requests."""
        return [server for server in self._servers.values() if server.ready]

    def pick(self) -> Server | None:
        """The ready server with the fewest requests on their way."""
        ready = self.ready
        return min(ready, key=_load) if len(ready) > 1 else next(iter(ready), None)

    def scale(self, replicas: int) -> None:
        """Keep so many servers from now on; those too many are drained and stopped."""
        for number in range(0 if self._failed else replicas):
            if number not in self._leaving:
                self._leaving[number] = asyncio.Event()
                keeper = self._keep(number, self._leaving[number], self._keepers.get(number))
                self._keepers[number] = asyncio.get_running_loop().create_task(keeper)
        for number in [number for number in self._leaving if number >= replicas]:
            self._leaving.pop(number).set()

    async def end(self) -> None:
        """Drain and stop every server."""
        self.scale(0)
        if self._interpreter:
            self._interpreter.cancel()
        await asyncio.gather(*self._keepers.values())

    async def _keep(self, number: int, leaving: asyncio.Event, before: asyncio.Task[None] | None) -> None:
        """Have one server running until it is to leave, or the deployment has failed."""
        if before:
            await before
        try:
            python = await self._python()
        except EnvironmentMissing as exc:
            self._fail(str(exc))
            return
        except asyncio.CancelledError:
            return  # the deployment ends before it has begun
        source = f"{self._name}.replica-{number}"
        backoff, starts = _FIRST_BACKOFF, 0
        while not leaving.is_set():
            began = time.monotonic()
            reason = await self._one_life(number, source, python, leaving)
            if not reason:
                return
            starts += 1
            if not self._was_ready and (starts >= STARTS or time.monotonic() >= self._deadline):
                self._fail(self._with_last_lines(f"{source} {reason}", source))
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                backoff = _FIRST_BACKOFF
            self.reason = f"{source} {reason}; it is started again"
            self.restarts += 1
            await _wait(leaving, backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _python(self) -> str:
        """The interpreter, its environment made on first use; the clock of the first start begins with it."""
        if self._interpreter is None:
            making = python_for(self._plan, self._folder, self._layout.interpreters, self._logs, self._name)
            self._interpreter = asyncio.get_running_loop().create_task(making)
        python = await self._interpreter
        self._deadline = self._deadline or time.monotonic() + self._plan.start_timeout
        return python

    async def _one_life(self, number: int, source: str, python: str, leaving: asyncio.Event) -> str:
        """One server from its start to its end. Returns why it had to go, empty where it was to leave."""
        server = Server(self._plan, python, self._folder / str(number), self._logs, source)
        self._servers[number] = server
        try:
            await server.start()
            return await self._live(server, leaving)
        except OSError as exc:
            return f"could not be started: {self._plan.argv[0]!r}: {exc.strerror}"
        finally:
            await self._retire(number, server, self._drain_timeout if leaving.is_set() else 0.0)

    async def _live(self, server: Server, leaving: asyncio.Event) -> str:
        """Watch a server that was started. Returns why it must go, empty where it is to leave."""
        problem = await self._get_ready(server, leaving)
        if problem or leaving.is_set():
            return problem
        server.ready = True
        self._was_ready = self._was_ready or len(self.ready) >= len(self._leaving)
        return await self._watch(server, leaving)

    async def _get_ready(self, server: Server, leaving: asyncio.Event) -> str:
        timeout = self._plan.start_timeout
        deadline = time.monotonic() + timeout if self._was_ready else self._deadline
        pause = _FIRST_LOOK
        while not leaving.is_set():
            if server.exit_code is not None:
                return f"{_words(server.exit_code)} before it was ready"
            if await server.is_healthy():
                return ""
            if time.monotonic() >= deadline:
                return f"was not ready within {timeout:g} s: GET {self._plan.health_route} did not answer 200"
            await _wait(leaving, pause)
            pause = min(pause * _LOOK_GROWTH, _LATEST_LOOK)
        return ""

    async def _watch(self, server: Server, leaving: asyncio.Event) -> str:
        failures = 0
        ended, left = asyncio.ensure_future(server.ended()), asyncio.ensure_future(leaving.wait())
        try:
            while True:
                await asyncio.wait({ended, left}, timeout=self._plan.health_period, return_when=asyncio.FIRST_COMPLETED)
                if left.done():
                    return ""
                if ended.done():
                    return _words(ended.result())
                failures = 0 if await server.is_healthy() else failures + 1
                if failures >= LIVENESS_FAILURES:
                    return f"did not answer GET {self._plan.health_route} any more"
        finally:
            ended.cancel()
            left.cancel()

    async def _retire(self, number: int, server: Server, patience: float) -> None:
        if server.exit_code is None:
            await server.drain(patience)
        await server.stop()
        if self._servers.get(number) is server:
            del self._servers[number]

    def _fail(self, reason: str) -> None:
        """The deployment never was ready: nothing of it goes on running."""
        self.reason = reason
        self._failed = True
        self.scale(0)

    def _with_last_lines(self, what: str, source: str) -> str:
        lines = logs.tail(self._logs, source, _LAST_LINES)
        return "\n".join([f"{what}; its last lines:", *lines]) if lines else f"{what}; it printed nothing"


def _load(server: Server) -> int:
    return server.pool.in_flight


def _words(code: int) -> str:
    return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Sleep so long, or until the event."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
