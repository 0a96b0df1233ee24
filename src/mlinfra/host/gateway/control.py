"""An endpoint's gateway: makes what is wanted so, and writes down what is."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from mlinfra.errors import MlinfraError
from mlinfra.host import processes, schema
from mlinfra.host.clock import stamp
from mlinfra.host.database import Database
from mlinfra.host.endpointtable import EndpointTable, State
from mlinfra.host.gateway.clients import ClientConnection
from mlinfra.host.gateway.counts import Counts
from mlinfra.host.gateway.fleet import Fleet
from mlinfra.host.gateway.router import Router
from mlinfra.host.layout import Layout
from mlinfra.host.logs import LogWriter
from mlinfra.host.plan import ServerPlan
from mlinfra.host.ports import LOOPBACK

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

RECONCILE_PERIOD = 0.1  # seconds between two looks at what is wanted
SWEEP_PERIOD = 0.25  # seconds between two looks for what takes too long
FLUSH_PERIOD = 1.0  # seconds between two writings of counts
_BACKLOG = 1024


class Gateway:
    """One endpoint's gateway, from its claim to its end. `run` is its life."""

    def __init__(self, root: Path, name: str) -> None:
        self._name = name
        self._layout = Layout(root)
        self._table = EndpointTable(Database(self._layout.database, schema.HOST, schema.VERSION), self._layout)
        self._thread = ThreadPoolExecutor(1)  # all waiting for the disk happens there
        self._counts = Counts(self._layout.endpoint_metrics(name))
        self._connections: set[ClientConnection] = set()
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._applied = ""
        self._leave = asyncio.Event()

    async def run(self) -> None:
        """Serve until the endpoint is deleted or expired, or this process is told to end."""
        if not await self._on_disk(self._table.claim, self._name):
            return
        await self._on_disk(processes.exterminate, str(self._layout.endpoint(self._name)))  # a dead gateway's servers
        wanted = await self._on_disk(self._table.snapshot, self._name)
        if wanted is None:
            return
        self._log = LogWriter(self._layout.endpoint_logs(self._name), "gateway")
        self._settings = json.loads(wanted[0]["settings"])
        self._router = Router(self._counts, self._settings["timeout"], self._health)
        server = await self._listen(wanted[0]["port"])
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._leave.set)
        async with asyncio.TaskGroup() as periodic:
            tasks = [periodic.create_task(work) for work in (self._sweep_often(), self._flush_often())]
            last_word = await self._reconcile()
            server.close()
            await self._stop_everything()
            for task in tasks:
                task.cancel()
        await self._on_disk(self._counts.flush, *self._counts.take(everything=True))
        self._counts.close()
        self._log.close()
        await self._on_disk(last_word)

    async def _listen(self, port: int) -> asyncio.Server:
        """Listen on the port of before, so that callers need not ask again, or on any other."""
        loop = asyncio.get_running_loop()
        limit = self._settings["max_body_bytes"]

        def connection() -> ClientConnection:
            return ClientConnection(self._router.dispatch, self._connections, limit)

        try:
            server = await loop.create_server(connection, LOOPBACK, port, backlog=_BACKLOG)
        except OSError:
            server = await loop.create_server(connection, LOOPBACK, 0, backlog=_BACKLOG)
        port = server.sockets[0].getsockname()[1]
        self._say(f"listening on {LOOPBACK}:{port}")
        await self._on_disk(self._table.report, self._name, {"port": port, "state": State.READY, "spawns": 0}, {})
        return server

    async def _reconcile(self) -> Callable[[], None]:
        """Follow the tables until the end. Returns what is to be written down when everything has stopped."""
        seen, wanted = -1, None
        while not self._leave.is_set():
            try:
                version = self._table.version()
                if version != seen:
                    wanted = await self._on_disk(self._table.snapshot, self._name)
                    seen = version
                if wanted is None:
                    return _nothing  # deleted behind our back
                row, deployments = wanted
                if row["state"] == State.DELETING:
                    return lambda: self._table.drop(self._name)
                if row["expires"] and row["expires"] <= stamp():
                    self._say(f"the time to live ended at {row['expires']}")
                    return lambda: self._table.expire(self._name)
                await self._follow(row, deployments)
            except MlinfraError as exc:  # a busy or full disk must not end what serves from memory
                self._say(str(exc))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), RECONCILE_PERIOD)
        self._say("told to end")
        return _nothing

    async def _follow(self, row: sqlite3.Row, deployments: list[sqlite3.Row]) -> None:
        """One step from what is to what is wanted, and word of what is."""
        for deployment in deployments:
            name = deployment["name"]
            if deployment["state"] == State.DELETING:
                if name not in self._ending:
                    self._ending[name] = asyncio.ensure_future(self._end(name))
            elif name in self._router.fleets:
                self._router.fleets[name].scale(deployment["replicas"])
            elif deployment["state"] != State.FAILED:
                self._start(name, deployment)
        endpoint = {}
        if row["etag"] != self._applied:
            self._router.apply(json.loads(row["traffic"]), json.loads(row["shadow"]))
            self._applied = row["etag"]
            self._say(f"traffic {row['traffic']}, shadow {row['shadow']}")
        if row["applied"] != self._applied:
            endpoint = {"applied": self._applied}
        news = self._news()
        if endpoint or news:
            await self._on_disk(self._table.report, self._name, endpoint, news)
            self._told.update(news)

    def _start(self, name: str, row: sqlite3.Row) -> None:
        plan = ServerPlan.from_document(json.loads(row["plan"]))
        fleet = Fleet(self._layout, self._name, name, plan, self._settings["drain_timeout"])
        fleet.restarts = row["restarts"]
        self._router.fleets[name] = fleet
        self._say(f"deployment {name} is started with {row['replicas']} replicas")
        fleet.scale(row["replicas"])

    async def _end(self, name: str) -> None:
        """Let a deployment go: no new requests, the last ones answered, its processes ended, its traces removed."""
        self._say(f"deployment {name} is drained")
        fleet = self._router.fleets.pop(name, None)
        if fleet:
            await fleet.end()
        self._told.pop(name, None)
        try:
            await self._on_disk(self._forget, name)
            self._say(f"deployment {name} has ended")
        except MlinfraError as exc:  # tried again at the next look
            self._say(str(exc))
        finally:
            del self._ending[name]

    def _forget(self, name: str) -> None:
        self._counts.forget(name)
        for path in self._layout.endpoint_logs(self._name).glob(f"{name}.*"):
            path.unlink(missing_ok=True)
        self._table.drop_deployment(self._name, name)

    def _news(self) -> dict[str, dict[str, Any]]:
        """What has changed about the deployments since it was last written down."""
        now = {
            name: {
                "state": str(fleet.state),
                "reason": fleet.reason,
                "ready_replicas": len(fleet.ready),
                "restarts": fleet.restarts,
            }
            for name, fleet in self._router.fleets.items()
        }
        news = {name: told for name, told in now.items() if self._told.get(name) != told}
        for name, told in news.items():
            self._say(f"deployment {name}: {json.dumps(told)}")
        return news

    async def _stop_everything(self) -> None:
        """Answer what has been asked, then end every process."""
        for connection in tuple(self._connections):
            connection.drain()
        await asyncio.gather(*(fleet.end() for fleet in self._router.fleets.values()), *self._ending.values())
        for connection in tuple(self._connections):
            connection.close()

    def _health(self) -> bytes:
        deployments = {
            name: {"state": fleet.state, "ready_replicas": len(fleet.ready)}
            for name, fleet in self._router.fleets.items()
        }
        return json.dumps({"endpoint": self._name, "deployments": deployments}).encode()

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_PERIOD)
            self._router.sweep()
            for connection in tuple(self._connections):
                connection.check(time.monotonic())

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_PERIOD)
            await self._on_disk(self._counts.flush, *self._counts.take())

    async def _on_disk(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _say(self, text: str) -> None:
        self._log.say(text)


def _nothing() -> None:
    """There is nothing to write down."""
