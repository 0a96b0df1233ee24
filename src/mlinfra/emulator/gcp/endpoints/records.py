"""What the emulator knows of an endpoint and of the models deployed to it.

Both hold the message that the service tells of them; what is not told, such as servers and routes, stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.endpoints.describe import new_etag
from mlinfra.emulator.hosting.routes import Route, Routes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.gcp.endpoints.address import Address
    from mlinfra.emulator.gcp.endpoints.containers import Container
    from mlinfra.emulator.gcp.endpoints.metrics import Meter
    from mlinfra.emulator.gcp.endpoints.requestlog import RequestLog
    from mlinfra.emulator.hosting.gateway import Gateway
    from mlinfra.emulator.hosting.hosting import Hosting

DEPLOYING, DEPLOYED, MUTATING, UNDEPLOYING = "deploying", "deployed", "mutating", "undeploying"


@dataclass(eq=False)
class Deployment:
    """One DeployedModel with the servers that are its own. `message` is a google.cloud.aiplatform DeployedModel."""

    message: Any
    model_display_name: str
    container: Container
    wanted: int  # replicas that are asked for, between the least and the most
    state: str = DEPLOYING
    available: int = 0
    looked: datetime | None = None  # when the number of available replicas changed last
    fleet: str = ""  # the deployment of the host; empty while there is none
    launches: int = 0
    lock: RLock = field(default_factory=RLock)

    @property
    def id(self) -> str:
        """Its id, unique in its endpoint."""
        return str(self.message.id)

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the most replicas."""
        resources = self.message.dedicated_resources
        return resources.min_replica_count, max(resources.min_replica_count, resources.max_replica_count)

    @property
    def required(self) -> int:
        """How many replicas have to be available for a deployment to succeed."""
        resources = self.message.dedicated_resources
        return int(resources.required_replica_count or resources.min_replica_count)


@dataclass(eq=False)
class Endpoint:
    """One endpoint. `message` is a google.cloud.aiplatform Endpoint without its deployed models.

    `lock` guards what an operation and a call may change at once.
    """

    message: Any
    id: str
    hosting: Hosting
    gateway: Gateway
    meter: Meter
    log: RequestLog
    address: Address | None = None  # its own, where it has one
    exists: bool = False  # its creation is over, and its deletion has not begun
    deployments: dict[str, Deployment] = field(default_factory=dict)
    routes: Routes[Deployment] = field(default_factory=Routes)
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """Its resource name."""
        return str(self.message.name)

    @property
    def serving(self) -> dict[str, Deployment]:
        """The deployments that everybody is told of."""
        return {name: each for name, each in self.deployments.items() if each.state != DEPLOYING}

    @property
    def open_to_traffic(self) -> list[str]:
        """The ids of the deployments that may be given requests."""
        return [name for name, each in self.deployments.items() if each.state in {DEPLOYED, MUTATING}]

    def split(self, shares: Mapping[str, int]) -> None:
        """Let the traffic follow these shares from the next request on."""
        self.message.traffic_split = dict(shares)
        chosen = [(self.deployments[name], share) for name, share in shares.items()]
        self.routes.replace([Route(each.id, each, float(share), float(share)) for each, share in chosen])

    def touch(self, now: datetime) -> None:
        """Something of it has changed."""
        self.message.update_time = now
        self.message.etag = new_etag()

    def close(self) -> None:
        """Take no more requests and end the servers."""
        self.routes.replace([])
        self.gateway.close()
        if self.address:
            self.address.close()
        self.hosting.close()
