"""Managed online deployments: created, changed, scaled, listed and deleted; their logs and skus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.endpoints import describe, machines, records, rules, settings
from mlinfra.emulator.azure.endpoints.deployments import Deployments, noted
from mlinfra.emulator.azure.endpoints.launching import Launching
from mlinfra.emulator.azure.endpoints.modelfiles import ModelFiles
from mlinfra.emulator.azure.endpoints.records import Deployment, History
from mlinfra.emulator.azure.names import ML, kind_of, own, parent
from mlinfra.emulator.azure.operations import Reply, Request
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.calls import Call, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.endpoints import Endpoints
    from mlinfra.emulator.azure.endpoints.records import Endpoint
    from mlinfra.emulator.progress import Progress

_USUAL_TAIL, _MOST_TAIL = 50, 5000  # lines of a log
_INITIALIZER = "StorageInitializer"
_MADE_OF = ("model", "modelMountPath", "environmentId", "environmentVariables", "dataCollector")


class Managed:
    """The deployments of every endpoint. `works` are what operations do."""

    def __init__(self, emulator: AzureEmulator, owner: Endpoints) -> None:
        self._emulator = emulator
        self._endpoints = owner
        self._launching = Launching(emulator, ModelFiles(emulator), owner.fleets, owner.identities)
        self.works = Deployments(emulator, self._launching, owner.fleets)

    def get(self, name: str) -> tuple[Endpoint, Deployment]:
        """An endpoint and its deployment, by the deployment's id. Refusal where there is none."""
        endpoint = self._endpoints.get(parent(name))
        found = endpoint.deployments.get(own(name).lower())
        if found is None:
            workspace = own(self._emulator.workspaces.get(name).id)
            told = f"Deployment {own(name)} not found in endpoint {endpoint.name}, workspace {workspace}"
            raise refusals.not_found(told)
        return endpoint, found

    # Operations

    def read(self, request: Request) -> dict[str, Any]:
        """OnlineDeployments_Get."""
        return describe.deployment_document(self.get(request.id)[1])

    def list_(self, request: Request) -> dict[str, Any]:
        """OnlineDeployments_List."""
        endpoint = self._endpoints.get(request.id.rpartition("/")[0])
        found = list(endpoint.deployments.values())
        return paging.page(found, request, key=lambda each: each.id, told=describe.deployment_document)

    def put(self, request: Request) -> Reply:
        """OnlineDeployments_CreateOrUpdate."""
        endpoint = self._endpoints.get(parent(request.id))
        rules.check_name(own(request.id), "deployment")
        self._launching.check(request.id, request.body["properties"])
        with endpoint.lock:
            found = endpoint.deployments.get(own(request.id).lower())
            rules.check_deployment(request.body, self._emulator.place.region, found.document if found else None)
            if found is None:
                deployment = self._added(endpoint, request)
            else:
                deployment = found
                self._claim(endpoint, deployment, request, request.body)
        return self._started(endpoint, deployment, request, request.body, created=found is None)

    def patch(self, request: Request) -> Reply:
        """OnlineDeployments_Update: tags, which are merged, and the sku, whose capacity is the number of instances."""
        endpoint, deployment = self.get(request.id)
        before = deployment.document
        tags = {**(before.get("tags") or {}), **(request.body.get("tags") or {})}
        sku = {**(before.get("sku") or {"name": "Default"}), **(request.body.get("sku") or {})}
        document = {**before, "tags": {name: value for name, value in tags.items() if value is not None}, "sku": sku}
        if "capacity" not in (request.body.get("sku") or {}):
            document["sku"]["capacity"] = deployment.wanted
        rules.check_capacity(document["sku"])
        with endpoint.lock:
            self._claim(endpoint, deployment, request, document)
        return self._started(endpoint, deployment, request, document)

    def delete(self, request: Request) -> Reply:
        """OnlineDeployments_Delete."""
        endpoint = self._endpoints.get(parent(request.id))
        deployment = endpoint.deployments.get(own(request.id).lower())
        if deployment is None:
            return Reply(None, 204)
        with endpoint.lock:
            endpoint.claim(f"delete deployment {deployment.name} in endpoint {endpoint.name}")
            for shares in (endpoint.traffic, endpoint.mirror):
                share = shares.last().get(deployment.name, 0) or shares.now().get(deployment.name, 0)
                if share:
                    raise refusals.invalid(
                        f"Deployment {deployment.name} has {share}% of the traffic of endpoint {endpoint.name}. "
                        "Set its traffic to 0 before deleting it."
                    )
            deployment.state = records.DELETING
            endpoint.route()

        def work(progress: Progress) -> None:
            self.works.delete(endpoint, deployment, progress)

        return noted(self._emulator.longrunning.start(request, work), deployment)

    def logs(self, request: Request) -> dict[str, str]:
        """OnlineDeployments_GetLogs: the last lines that the newest containers wrote."""
        endpoint, deployment = self.get(request.resource)
        self._endpoints.carry_logs(endpoint)
        asked = request.body.get("tail")
        tail = _USUAL_TAIL if asked is None else int(asked)
        if not 0 < tail <= _MOST_TAIL:
            raise refusals.invalid(f"tail must be between 1 and {_MOST_TAIL}, not {tail}.", "tail")
        initializer = request.body.get("containerType") == _INITIALIZER
        lines = list(deployment.initializer if initializer else deployment.log)[-tail:]
        return {"content": "".join(f"{line}\n" for line in lines)}

    def skus(self, request: Request) -> dict[str, Any]:
        """OnlineDeployments_ListSkus."""
        name = request.id.rpartition("/")[0]
        self.get(name)
        capacity = {"minimum": 1, "maximum": machines.MOST_INSTANCES, "default": 1, "scaleType": "Manual"}
        sku = {"name": "Default", "tier": "Standard"}
        return {"value": [{"resourceType": kind_of(name), "sku": sku, "capacity": capacity}]}

    def autoscale(self, endpoint: Endpoint, deployment: Deployment, instances: int) -> bool:
        """Have another number of instances, as Azure Monitor's autoscale asks for it. False: something is under way."""
        with endpoint.lock:
            try:
                endpoint.claim(f"scale deployment {deployment.name}")
            except Refusal:
                return False
            sku = {**(deployment.document.get("sku") or {"name": "Default"}), "capacity": instances}
            deployment.document = {**deployment.document, "sku": sku}
            deployment.state = records.SCALING
        call = Call(ML, "OnlineDeployments_Autoscale")
        request = Request(deployment.id, {}, "PATCH", {}, "", call=call)
        self._emulator.longrunning.start(
            request, lambda progress: self.works.scale(endpoint, deployment, instances, progress)
        )
        return True

    # The parts

    def _added(self, endpoint: Endpoint, request: Request) -> Deployment:
        """A new deployment, of which nothing runs yet. Refusal where there are too many, or something is under way."""
        endpoint.claim(f"create a deployment in endpoint {endpoint.name}")
        if self._emulator.quotas.enforced and len(endpoint.deployments) >= rules.MOST_DEPLOYMENTS:
            raise rules.too_many(f"{rules.MOST_DEPLOYMENTS} deployments of endpoint {endpoint.name}")
        instances = rules.capacity(request.body.get("sku"))
        self._check_quota(request.body["properties"], instances, None)
        now = self._emulator.clock.now()
        history = History(now, request.principal, now, request.principal)
        deployment = Deployment(request.id, dict(request.body), history, instances)
        endpoint.deployments[deployment.name.lower()] = deployment
        return deployment

    def _claim(self, endpoint: Endpoint, deployment: Deployment, request: Request, document: Mapping[str, Any]) -> None:
        """Begin an update. Refusal where there is no room for it, or something is under way."""
        endpoint.claim(f"update deployment {deployment.name} in endpoint {endpoint.name}")
        self._check_quota(document["properties"], rules.capacity(document.get("sku")), deployment)
        deployment.history = deployment.history.after(self._emulator.clock.now(), request.principal)
        deployment.state = records.UPDATING

    def _started(
        self,
        endpoint: Endpoint,
        deployment: Deployment,
        request: Request,
        document: Mapping[str, Any],
        *,
        created: bool = False,
    ) -> Reply:
        """Begin what a document asks for: other containers, another number of them, or nothing that runs."""
        wanted, works, instances = dict(document), self.works, rules.capacity(document.get("sku"))
        same = deployment.fleet is not None and _running(wanted) == _running(deployment.document)

        def work(progress: Progress) -> dict[str, Any]:
            if not same:
                return works.replace(endpoint, deployment, wanted, instances, progress)
            deployment.document = wanted
            return works.scale(endpoint, deployment, instances, progress)

        told = describe.deployment_document(deployment)
        reply = self._emulator.longrunning.start(request, work, told, created=created)
        return noted(reply, deployment)

    def _check_quota(self, properties: Mapping[str, Any], instances: int, but: Deployment | None) -> None:
        others = [
            (rules.instance_type(each.document["properties"]), each.wanted)
            for endpoint in self._endpoints.items()
            for each in endpoint.deployments.values()
            if each is not but
        ]
        machines.check_quota(self._emulator.quotas, (rules.instance_type(properties), instances), others)


def _running(document: Mapping[str, Any]) -> list[Any]:
    """What of a deployment's document its containers are made of, with the defaults for what it leaves out."""
    properties = document["properties"]
    return [
        *(properties.get(name) or None for name in _MADE_OF),
        settings.requests(properties),
        *(settings.probe(properties, name) for name in rules.PROBES),
    ]
