"""What the emulator knows of an online endpoint and of its deployments.

Both hold the document that was asked for; what the service adds to it, and what serves, stands beside it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints.gates import Gate
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.hosting.routes import Route, Routes

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.azure.endpoints.collector import Collector
    from mlinfra.emulator.azure.endpoints.containers import Container
    from mlinfra.emulator.azure.endpoints.keys import Keys
    from mlinfra.emulator.azure.endpoints.metrics import Meter
    from mlinfra.emulator.azure.endpoints.settings import Requests
    from mlinfra.emulator.azure.endpoints.shares import Shares
    from mlinfra.emulator.hosting.gateway import Gateway
    from mlinfra.emulator.hosting.hosting import Hosting

CREATING, UPDATING, SCALING, DELETING = "Creating", "Updating", "Scaling", "Deleting"
SUCCEEDED, FAILED, CANCELED = "Succeeded", "Failed", "Canceled"
_LINES = 10_000  # of a log that are kept
_UNDER_WAY = {CREATING, UPDATING, SCALING, DELETING}


@dataclass(frozen=True)
class History:
    """Who made and changed a resource, and when: ARM's systemData. Who is an object id."""

    created: datetime
    created_by: str
    changed: datetime
    changed_by: str

    def after(self, moment: datetime, principal: str) -> History:
        """Somebody has changed the resource."""
        return History(self.created, self.created_by, moment, principal)


@dataclass(eq=False)
class Fleet:
    """Servers that serve one version of a deployment's settings."""

    name: str  # the deployment of the host
    deployment: str  # whose it is, by its id
    container: Container
    requests: Requests
    collector: Collector | None
    gate: Gate = field(default_factory=Gate)


@dataclass(eq=False)
class Deployment:
    """One managed online deployment. `document` is an ARM OnlineDeployment as it was asked for."""

    id: str
    document: dict[str, Any]
    history: History
    wanted: int  # instances that are asked for
    state: str = CREATING
    available: int = 0
    fleet: Fleet | None = None  # what serves; None until there is something
    launches: int = 0
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    initializer: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    asynchronous: str = ""  # the address of the last operation's status
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """Its name in the endpoint."""
        return own(self.id)

    @property
    def takes_traffic(self) -> bool:
        """Whether it may be given requests: it came up once, and its deletion has not begun.

        One whose update failed serves on as before.
        """
        return self.fleet is not None and self.state not in {CREATING, DELETING}


@dataclass(eq=False)
class Endpoint:
    """One online endpoint. `document` is an ARM OnlineEndpoint as it was asked for, without its traffic.

    `lock` guards what an operation and a call may change at once.
    """

    id: str
    document: dict[str, Any]
    history: History
    keys: Keys
    identity: str  # the object id in whose name containers run
    hosting: Hosting
    gateway: Gateway
    meter: Meter
    traffic: Shares
    mirror: Shares
    state: str = CREATING
    asynchronous: str = ""
    deployments: dict[str, Deployment] = field(default_factory=dict)  # by name in lower case
    routes: Routes[Fleet] = field(default_factory=Routes)
    routed: tuple[tuple[str, int], ...] = ()
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """Its name, unique in the region."""
        return own(self.id)

    @property
    def auth_mode(self) -> str:
        """How callers show who they are."""
        return str(self.document["properties"]["authMode"])

    def claim(self, what: str) -> None:
        """Refuse a further operation while one is under way here or on a deployment. `what` as in "delete endpoint".

        The words are those that the service has for a deployment to be created.
        """
        if self.state in _UNDER_WAY:
            raise refusals.conflict(
                f"Cannot {what} because endpoint {self.name} is in {self.state} provisioning state."
            )
        for each in self.deployments.values():
            if each.state in _UNDER_WAY:
                told = f"Cannot {what} because deployment {each.name} is in {each.state} provisioning state."
                raise refusals.conflict(told)

    def serving(self, name: str) -> Deployment | None:
        """The deployment of that name, where it may be asked."""
        found = self.deployments.get(name.lower())
        return found if found and found.takes_traffic else None

    def route(self) -> None:
        """Let requests follow the split that is in force now; a deployment without traffic may be asked by its name."""
        shares = self.traffic.now()
        serving = [(each, each.fleet) for each in list(self.deployments.values()) if each.takes_traffic and each.fleet]
        routes = [Route(each.name, fleet, float(shares.get(each.name, 0)), 1.0) for each, fleet in serving]
        key = tuple((route.fleet.name, int(route.weight)) for route in routes)
        with self.lock:
            if key != self.routed:
                self.routed = key
                self.routes.replace(routes)

    def close(self) -> None:
        """Take no more requests and end the servers."""
        self.routes.replace([])
        self.gateway.close()
        self.hosting.close()
