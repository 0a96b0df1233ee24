"""Online endpoints: created, changed, listed and deleted, with keys and tokens; and what all parts of them share.

A call is checked and answered at once; what follows is the work of a long-running operation. While one is under way on
an endpoint or on one of its deployments, every other one is refused.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.endpoints import describe, records, rules, settings, traffic
from mlinfra.emulator.azure.endpoints.attendant import EndpointAttendant
from mlinfra.emulator.azure.endpoints.deployments import DELAYS, noted
from mlinfra.emulator.azure.endpoints.fleets import Fleets
from mlinfra.emulator.azure.endpoints.identities import Identities
from mlinfra.emulator.azure.endpoints.keys import AML_TOKEN, KEY, Keys
from mlinfra.emulator.azure.endpoints.listing import chosen
from mlinfra.emulator.azure.endpoints.managed import Managed
from mlinfra.emulator.azure.endpoints.methods import OPERATIONS
from mlinfra.emulator.azure.endpoints.metrics import Meter
from mlinfra.emulator.azure.endpoints.records import Endpoint, History
from mlinfra.emulator.azure.endpoints.shares import Shares
from mlinfra.emulator.azure.names import own
from mlinfra.emulator.azure.operations import Reply
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.hosting.gateway import Gateway
from mlinfra.emulator.hosting.hosting import Hosting
from mlinfra.emulator.progress import Cancelled
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request
    from mlinfra.emulator.progress import Progress

__all__ = ["DELAYS", "OPERATIONS", "Endpoints"]

_LARGEST_BODY = 1 << 27  # bytes; the service's own limit is not published


class Endpoints:
    """The online endpoints of one region.

    `traffic_lag`: how many virtual seconds pass until a split that was accepted is told and followed.
    `taken`: names in lower case that others in the region have.
    """

    def __init__(self, emulator: AzureEmulator) -> None:
        self.traffic_lag = emulator.delays.seconds("endpoints.TrafficVisible")
        self.taken: set[str] = set()
        self.identities = Identities(emulator)
        self.fleets = Fleets(emulator.folder / "endpoints", emulator.clock, emulator.asked_to_stop)
        self.managed = Managed(emulator, self)
        self._emulator = emulator
        self._table: Table[Endpoint] = Table(emulator.clock, emulator.settings.list_lag)
        self._stop = Event()
        self._attendant = EndpointAttendant(emulator, self, self._stop)
        self.fleets.before_end = self._attendant.settle
        emulator.monitoring.before_reading.append(self.publish)

    # What other parts ask

    def find(self, name: str) -> Endpoint | None:
        """An endpoint by its name in the region, or by its id; None where there is none."""
        return self._table.get(own(name).lower())

    def get(self, name: str) -> Endpoint:
        """An endpoint by its id.

        Raises:
            Refusal: there is none in that workspace.
        """
        workspace = self._emulator.workspaces.get(name)
        found = self.find(name)
        if found is None or found.id.lower() != name.lower():
            raise refusals.not_found(f"Endpoint {own(name)} was not found in workspace {own(workspace.id)}.")
        return found

    def items(self) -> list[Endpoint]:
        """Every endpoint there is."""
        return self._table.values()

    def deployed(self, model: str) -> list[str]:
        """The ids of the deployments that serve a version of a model."""
        return [
            each.id
            for endpoint in self.items()
            for each in list(endpoint.deployments.values())
            if str(each.document["properties"].get("model") or "").lower() == model.lower()
        ]

    def leftovers(self) -> list[str]:
        """The ids of every endpoint there is."""
        return [endpoint.id for endpoint in self.items()]

    def publish(self) -> None:
        """Publish the metrics of the minutes that have ended."""
        now = self._emulator.clock.now()
        for endpoint in self.items():
            endpoint.meter.publish(now)

    def flush(self) -> None:
        """Write what the data collectors have taken."""
        self._attendant.flush()

    def carry_logs(self, endpoint: Endpoint) -> None:
        """Keep what the servers have written."""
        self._attendant.carry_logs(endpoint)

    def admin(self, request: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """`endpoints/traffic_lag`, with `seconds`: how late a split that was accepted is told and followed."""
        if request != "endpoints/traffic_lag":
            return None
        self.traffic_lag = float(body.get("seconds", self.traffic_lag))
        return {"seconds": self.traffic_lag}

    def stop(self) -> None:
        """End every thread and process. Blocks until they have."""
        self._stop.set()
        self._attendant.stop()
        self._attendant.end_all()

    def told(self, endpoint: Endpoint) -> dict[str, Any]:
        """The document of an endpoint."""
        return describe.endpoint_document(endpoint, self._emulator.secure, self.identities.told(endpoint))

    # Operations

    def read(self, request: Request) -> dict[str, Any]:
        """OnlineEndpoints_Get."""
        return self.told(self.get(request.id))

    def list_(self, request: Request) -> dict[str, Any]:
        """OnlineEndpoints_List."""
        workspace = self._emulator.workspaces.get(request.id)
        mine = [each for each in self._table.listed() if each.id.lower().startswith(f"{workspace.id}/".lower())]
        found = chosen([self.told(each) for each in mine], request.query)
        query = dict(request.query)
        if "count" in query:
            query["$top"] = query.pop("count")
        page = replace(request, query=query)
        return paging.page(found, page, key=lambda each: str(each["id"]))

    def put(self, request: Request) -> Reply:
        """OnlineEndpoints_CreateOrUpdate."""
        self._emulator.workspaces.get(request.id)
        with self._table.lock:
            found = self._mine(request.id)
            rules.check_endpoint(request.body, self._emulator.place.region, found.document if found else None)
            if found is None:
                endpoint = self._added(request)
        if found is not None:
            return self._update(found, request, request.body)
        self._attendant.start()

        def work(progress: Progress) -> dict[str, Any]:
            self._wait(endpoint, progress, "endpoints.Creating")
            self._over(endpoint)
            return self.told(endpoint)

        return self._started(endpoint, request, work, created=True)

    def patch(self, request: Request) -> Reply:
        """OnlineEndpoints_Update: tags, which are merged, and the identity, which cannot change."""
        endpoint = self.get(request.id)
        rules.check_identity(request.body.get("identity"), endpoint.document.get("identity"))
        tags = {**(endpoint.document.get("tags") or {}), **(request.body.get("tags") or {})}
        document = {**endpoint.document, "tags": {name: value for name, value in tags.items() if value is not None}}
        shares = {"traffic": endpoint.traffic.last(), "mirrorTraffic": endpoint.mirror.last()}
        return self._update(endpoint, request, {**document, "properties": {**document["properties"], **shares}})

    def delete(self, request: Request) -> Reply:
        """OnlineEndpoints_Delete, which takes the deployments along."""
        self._emulator.workspaces.get(request.id)
        endpoint = self._mine(request.id)
        if endpoint is None:
            return Reply(None, 204)
        with endpoint.lock:
            endpoint.claim(f"delete endpoint {endpoint.name}")
            endpoint.state = records.DELETING
            for each in endpoint.deployments.values():
                each.state = records.DELETING
            endpoint.route()

        def work(progress: Progress) -> None:
            with suppress(Cancelled):  # there is no way back
                progress.wait("endpoints.Deleting")
            for each in list(endpoint.deployments.values()):
                self.managed.works.delete(endpoint, each, progress)
            self.fleets.close(endpoint)
            endpoint.meter.publish(self._emulator.clock.now(), everything=True)
            self.identities.forget(endpoint)
            self._table.remove(endpoint.name.lower())

        return self._started(endpoint, request, work)

    def list_keys(self, request: Request) -> dict[str, str]:
        """OnlineEndpoints_ListKeys."""
        return self._with(request, KEY).keys.as_document()

    def regenerate_keys(self, request: Request) -> Reply:
        """OnlineEndpoints_RegenerateKeys."""
        endpoint = self._with(request, KEY)
        which, value = request.body["keyType"], request.body.get("keyValue")
        return self._emulator.longrunning.start(request, lambda _progress: endpoint.keys.regenerate(which, value))

    def token(self, request: Request) -> dict[str, Any]:
        """OnlineEndpoints_GetToken."""
        return self._with(request, AML_TOKEN).keys.issue(self._emulator.clock.now())

    # The parts

    def _mine(self, name: str) -> Endpoint | None:
        """The endpoint of an id, not of another workspace's; None where there is none."""
        found = self.find(name)
        return found if found and found.id.lower() == name.lower() else None

    def _added(self, request: Request) -> Endpoint:
        """A new endpoint, of which nothing runs yet.

        Raises:
            Refusal: its name is none or taken, or there are too many.
        """
        name = own(request.id)
        rules.check_name(name, "endpoint")
        rules.check_free(name, {*self._table, *self.taken})
        if self._emulator.quotas.enforced and len(self._table) >= rules.MOST_ENDPOINTS:
            raise rules.too_many(f"{rules.MOST_ENDPOINTS} endpoints of the subscription in this region")
        endpoint = self._new(request)
        self._table.add(name.lower(), endpoint)
        return endpoint

    def _new(self, request: Request) -> Endpoint:
        name, now = own(request.id), self._emulator.clock.now()
        document = kept(request.body)
        keys = document["properties"].pop("keys", None)
        hosting = Hosting(
            self._emulator.host,
            f"{name.lower()}.{uuid4().hex[:8]}",
            timeout=settings.LONGEST_REQUEST,
            max_body=_LARGEST_BODY,
        )
        return Endpoint(
            id=request.id,
            document=document,
            history=History(now, request.principal, now, request.principal),
            keys=Keys.given(keys or {}),
            identity=self.identities.of(request, request.body.get("identity")),
            hosting=hosting,
            gateway=Gateway(hosting),
            meter=Meter(request.id, self._emulator.monitoring.put),
            traffic=Shares(self._emulator.clock),
            mirror=Shares(self._emulator.clock),
        )

    def _update(self, endpoint: Endpoint, request: Request, body: Mapping[str, Any]) -> Reply:
        """Take over a document, all of it or nothing; its traffic once the operation is over."""
        properties = body["properties"]
        with endpoint.lock:
            endpoint.claim(f"update endpoint {endpoint.name}")
            live = traffic.checked(properties, endpoint.deployments)
            mirrored = traffic.mirrored(properties, endpoint.deployments, live)
            identity = body.get("identity") or endpoint.document.get("identity")
            endpoint.document = {**kept(body), **({"identity": identity} if identity else {})}
            endpoint.history = endpoint.history.after(self._emulator.clock.now(), request.principal)
            endpoint.state = records.UPDATING

        def work(progress: Progress) -> dict[str, Any]:
            self._wait(endpoint, progress, "endpoints.Updating")
            endpoint.traffic.set(live, self.traffic_lag)
            endpoint.mirror.set(mirrored, self.traffic_lag)
            self._over(endpoint)
            return self.told(endpoint)

        return self._started(endpoint, request, work)

    def _wait(self, endpoint: Endpoint, progress: Progress, stage: str) -> None:
        """Let the time of a stage pass; an operation that is cancelled meanwhile leaves the state of that name."""
        try:
            progress.wait(stage)
        except Cancelled:
            endpoint.state = records.CANCELED
            raise

    def _over(self, endpoint: Endpoint) -> None:
        """An operation on an endpoint is over."""
        with endpoint.lock:
            endpoint.state = records.SUCCEEDED
            endpoint.route()

    def _started(self, endpoint: Endpoint, request: Request, work: Any, *, created: bool = False) -> Reply:
        reply = self._emulator.longrunning.start(request, work, self.told(endpoint), created=created)
        return noted(reply, endpoint)

    def _with(self, request: Request, mode: str) -> Endpoint:
        """The endpoint of a POST, whose callers show who they are in that way."""
        endpoint = self.get(request.resource)
        if endpoint.auth_mode != mode:
            told = f"Endpoint {endpoint.name} uses {endpoint.auth_mode} for authentication, not {mode}."
            raise refusals.invalid(told, "properties.authMode")
        return endpoint


def kept(body: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it was asked for, without what is told from elsewhere."""
    properties = {key: value for key, value in body["properties"].items() if key not in {"traffic", "mirrorTraffic"}}
    return {**body, "properties": properties}
