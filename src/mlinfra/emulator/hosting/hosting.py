"""An endpoint's servers on the host: the only part that knows how the host runs them.

The clouds run a container for each instance and talk to one fixed port of it. Here every server is a process with a
port of its own, which it is told in the variable that its cloud has for it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mlinfra.errors import NotFound
from mlinfra.host import processes
from mlinfra.host.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.host import Host

PORT = "{port}"  # stands for the port wherever the host starts a server
_NEVER = 1e7  # s; time-outs are the emulator's business, in its own time
_STOP_GRACE = 30.0  # s between SIGTERM and SIGKILL
_LEASE = timedelta(minutes=15)  # after which a gateway ends that nobody attends to any more
_FAILED = "failed"
_READY = "ready"


@dataclass(frozen=True)
class Server:
    """What every process of a deployment is started with. `mounts`: container path -> folder of this machine.

    `PORT` stands for the port, inside an element of the command or as the value of a variable.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    requirements_lock: str | None = None
    health_route: str = "/ping"


class Seen(NamedTuple):
    """A deployment as the host tells it."""

    failed: bool
    ready: int
    reason: str


class Hosting:
    """One endpoint of the host, with a deployment for each fleet. Calls return at once and are safe to repeat."""

    def __init__(self, host: Host, name: str, *, timeout: float, max_body: int) -> None:
        """`timeout` in real seconds for one request, `max_body` in bytes."""
        self.name = name
        self.opened = False
        self._opening = Lock()
        self._host = host
        self._settings = {"timeout": timeout, "max_body_bytes": max_body}
        self._address: tuple[str, int] | None = None
        self._folder = Layout(host.root).endpoint(name)

    def open(self) -> None:
        """Have a gateway started, unless it was."""
        with self._opening:
            if not self.opened:
                self._host.call("CreateEndpoint", {"endpoint": self.name, "expires_at": _expiry(), **self._settings})
                self.opened = True

    def start(self, deployment: str, server: Server, replicas: int) -> None:
        """Have so many servers started. CapabilityError where no such Python is at hand."""
        body: dict[str, Any] = {
            "endpoint": self.name,
            "deployment": deployment,
            "argv": list(server.command),
            "env": dict(server.environment),
            "mounts": dict(server.mounts),
            "interpreter": {
                name: value
                for name, value in (("python", server.python), ("requirements_lock", server.requirements_lock))
                if value
            },
            "replicas": replicas,
            "health_route": server.health_route,
            "start_timeout": _NEVER,
            "stop_grace": _STOP_GRACE,
        }
        self._host.call("CreateDeployment", body)

    def scale(self, deployment: str, replicas: int) -> None:
        """Have another number of servers."""
        names = {"endpoint": self.name, "deployment": deployment}
        self._host.call("UpdateDeployment", {**names, "replicas": replicas})

    def end(self, deployment: str) -> None:
        """Drain a deployment's servers and end them."""
        with suppress(NotFound):
            self._host.call("DeleteDeployment", {"endpoint": self.name, "deployment": deployment})

    def look(self) -> dict[str, Seen]:
        """Every deployment."""
        document = self._host.call("DescribeEndpoint", {"endpoint": self.name})
        if document["url"]:
            parts = urlsplit(document["url"])
            self._address = (str(parts.hostname), int(parts.port or 0))
        return {
            each["deployment"]: Seen(each["state"] == _FAILED, each["ready_replicas"], each["reason"])
            for each in document["deployments"]
        }

    def address(self) -> tuple[str, int]:
        """Where the gateway listens. ConnectionRefusedError before it does."""
        if self._address is None:
            self.look()
        if self._address is None:
            raise ConnectionRefusedError(f"the gateway of {self.name} does not listen yet")
        return self._address

    def forget_address(self) -> None:
        """Ask for the address anew: a gateway that was started again may listen elsewhere."""
        self._address = None

    def lines(self, token: str | None) -> dict[str, Any]:
        """The next page of what the servers wrote."""
        return self._host.call("GetEndpointLogs", {"endpoint": self.name, **({"token": token} if token else {})})

    def attend(self) -> None:
        """Renew the lease. What nobody attends to ends by itself, so a killed emulator leaves nothing for long."""
        with suppress(NotFound):
            self._host.call("UpdateEndpoint", {"endpoint": self.name, "expires_at": _expiry()})

    def close(self) -> None:
        """End everything, where anything was begun."""
        if not self.opened:
            return
        with suppress(NotFound):
            self._host.call("DeleteEndpoint", {"endpoint": self.name})

    def kill(self) -> None:
        """End every process now."""
        processes.exterminate(str(self._folder))

    def work(self, deployment: str) -> str:
        """The word by which the processes of a deployment are known on this machine."""
        return str(Layout(self._host.root).server(self.name, deployment))

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is left."""
        try:
            self.look()
        except NotFound:
            return True
        return False


def _expiry() -> str:
    return (datetime.now(UTC) + _LEASE).isoformat()
