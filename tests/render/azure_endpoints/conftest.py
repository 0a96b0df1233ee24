"""Azure ML's endpoints as a small pure model: what its API description says of them, and a clock that tests move.

Every request is checked against the adapter's schema before it is answered, and what would hurt users (traffic to
nobody, a deployment that served taken away, two operations at once) is refused or written down in `wrongs`.
"""

import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mlinfra.environment import AzureEnvironment
from mlinfra.errors import Conflict, NotFound, SpecError
from mlinfra_azure import config
from mlinfra_azure import observe as observer
from mlinfra_azure.render import endpoints as renderer

START = datetime(2030, 1, 1, tzinfo=UTC)
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/kit"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/kit"
SERVER = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/server"
DEPLOY_SECONDS, SHORT_SECONDS = 600.0, 20.0
NAME = re.compile(r"[a-zA-Z](-?[a-zA-Z0-9])+")
BUSY = {"Creating", "Updating", "Deleting", "Scaling"}
WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|_")


@dataclass
class Operation:
    """A long-running operation: what it does when it is over, or why it fails."""

    url: str
    ready: float
    act: object
    error: str = ""
    done: bool = False


@dataclass
class Resource:
    """Something with a state, as it was asked for."""

    body: dict
    state: str
    created: float
    version: int = 1


@dataclass
class Azure:
    now: float = 0.0
    endpoint: Resource | None = None
    deployments: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    environments: dict = field(default_factory=dict)
    stillborn: set = field(default_factory=set)  # parts of models' addresses whose servers never become ready
    unwell: set = field(default_factory=set)  # operations that fail, by name
    going: bool = False  # whether the endpoint is to be taken away
    refused: int = 0  # operations that came while another one was under way
    lag: float = 0.0  # seconds for which reads show an endpoint's traffic as it was before
    sent: list = field(default_factory=list)
    bodies: list = field(default_factory=list)
    wrongs: list = field(default_factory=list)
    operations: list = field(default_factory=list)
    shown: tuple = (0.0, {})
    numbers: object = field(default_factory=itertools.count)

    # time

    def advance(self, seconds):
        self.now += seconds
        self._settle()

    def _settle(self):
        for operation in self.operations:
            if not operation.done and self.now >= operation.ready:
                operation.done = True
                operation.act()

    def _begin(self, operation, seconds, act, error=""):
        url = f"https://management.azure.com/operations/{next(self.numbers)}"
        unwell = "An internal error occurred." if operation in self.unwell else ""
        begun = Operation(url, self.now + seconds, lambda: act(failed=bool(error or unwell)), error or unwell)
        self.operations.append(begun)
        return {"operation": url, "done": False}

    # requests

    def send(self, request):
        config.check_request(request)
        self._settle()
        if request.effect:
            self.sent.append(request.operation)
            self.bodies.append(request.body)
        return getattr(self, WORDS.sub("_", request.operation).lower())(request.body)

    def get(self, body):
        operation = next(each for each in self.operations if each.url == body["url"])
        told = {"done": operation.done, "status": "Succeeded" if operation.done else "InProgress"}
        if operation.done and operation.error:
            told |= {"status": "Failed", "error": {"code": "ResourceNotReady", "message": operation.error}}
        return told

    def _found(self, name):
        if self.endpoint is None or self.endpoint.body["name"] != name:
            raise NotFound(f"Online Endpoint {name} not found.", given=name)
        return self.endpoint

    def _idle(self, name):
        endpoint = self._found(name)
        states = [endpoint.state, *(each.state for each in self.deployments.values())]
        if BUSY & set(states):
            self.refused += 1
            raise Conflict(f"Endpoint {name} is in Updating provisioning state.")
        return endpoint

    def _told(self, resource, collection):
        body = resource.body
        return {
            **body,
            "id": f"{WORKSPACE}/onlineEndpoints/{collection}{body['name']}",
            "properties": {**body["properties"], "provisioningState": resource.state},
            "systemData": {"createdAt": (START + timedelta(seconds=resource.created)).isoformat()},
            "etag": f"etag-{resource.version}",
        }

    def online_endpoints_get(self, body):
        told = self._told(self._found(body["endpointName"]), "")
        until, before = self.shown
        traffic = before if self.now < until else told["properties"].get("traffic", {})
        identity = told.get("identity", {})
        assigned = {name: {"clientId": "c", "principalId": "p"} for name in identity.get("userAssignedIdentities", {})}
        return {
            **told,
            "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
            **({"identity": {**identity, "userAssignedIdentities": assigned, "tenantId": "t"}} if identity else {}),
            "properties": {
                **told["properties"],
                "traffic": dict(traffic),
                "properties": {
                    **told["properties"].get("properties", {}),
                    "AzureAsyncOperationUri": f"https://management.azure.com/operations/{len(self.operations)}",
                },
                "scoringUri": f"https://{body['endpointName']}.westeurope.inference.ml.azure.com/score",
                "swaggerUri": None,
            },
        }

    def online_endpoints_list(self, _body):
        there = [self.online_endpoints_get({"endpointName": self.endpoint.body["name"]})] if self.endpoint else []
        return {"value": there}

    def online_endpoints_create_or_update(self, body):
        name, wanted = body["endpointName"], body["body"]
        assert NAME.fullmatch(name)
        assert 3 <= len(name) <= 32
        if self.endpoint is None:
            self.endpoint = Resource({**wanted, "name": name}, "Creating", self.now)
            reply = self._begin("OnlineEndpoints_CreateOrUpdate", SHORT_SECONDS, self._state(self.endpoint))
            return {**self.online_endpoints_get(body), **reply}
        endpoint = self._idle(name)
        if body.get("ifMatch", f"etag-{endpoint.version}") != f"etag-{endpoint.version}":
            raise Conflict("the etag is stale")
        self._check_shares(wanted["properties"])
        if wanted.get("identity") != endpoint.body.get("identity"):
            raise SpecError("the identity of an endpoint cannot be changed")
        before = endpoint.body["properties"].get("traffic", {})
        if before and not wanted["properties"].get("traffic") and not self.going:
            self.wrongs.append("nobody has traffic any more")
        endpoint.body, endpoint.state = {**wanted, "name": name}, "Updating"
        endpoint.version += 1
        if before != wanted["properties"].get("traffic", {}):
            self.shown = (self.now + self.lag, before)
        reply = self._begin("OnlineEndpoints_CreateOrUpdate", SHORT_SECONDS, self._state(endpoint))
        return {**self.online_endpoints_get(body), **reply}

    def _check_shares(self, properties):
        traffic, mirrored = properties.get("traffic", {}), properties.get("mirrorTraffic", {})
        ready = {name for name, each in self.deployments.items() if each.state == "Succeeded"}
        if traffic and (sum(traffic.values()) != 100 or not set(traffic) <= ready):
            raise SpecError("traffic must sum to 100 over deployments that are ready", given=str(traffic))
        if sum(mirrored.values()) > 50 or not set(mirrored) <= ready or set(mirrored) & set(traffic):
            raise SpecError("mirrored traffic is at most 50, to a deployment without traffic", given=str(mirrored))

    @staticmethod
    def _state(resource):
        def act(*, failed):
            resource.state = "Failed" if failed else "Succeeded"

        return act

    def online_endpoints_delete(self, body):
        try:
            endpoint = self._idle(body["endpointName"])
        except NotFound:
            return {}
        if self.deployments:
            self.wrongs.append("an endpoint was deleted with its deployments")
        endpoint.state = "Deleting"

        def act(*, failed):
            self.endpoint = self.endpoint if failed else None
            endpoint.state = "Failed"

        return self._begin("OnlineEndpoints_Delete", SHORT_SECONDS, act)

    def online_deployments_list(self, body):
        self._found(body["endpointName"])
        return {"value": [self._told(each, "e/deployments/") for each in self.deployments.values()]}

    def online_deployments_get(self, body):
        self._found(body["endpointName"])
        if body["deploymentName"] not in self.deployments:
            raise NotFound("no such deployment", given=body["deploymentName"])
        return self._told(self.deployments[body["deploymentName"]], "e/deployments/")

    def online_deployments_create_or_update(self, body):
        self._idle(body["endpointName"])
        name, wanted = body["deploymentName"], body["body"]
        assert NAME.fullmatch(name)
        assert 3 <= len(name) <= 32
        if wanted["properties"]["environmentId"] not in self.environments:
            raise NotFound("no such environment", given=wanted["properties"]["environmentId"])
        if name in self.deployments:
            self.wrongs.append(f"{name} was made twice")
        made = Resource({**wanted, "name": name}, "Creating", self.now)
        self.deployments[name] = made
        bad = any(each in wanted["properties"]["model"] for each in self.stillborn)
        error = "User container has crashed or terminated." if bad else ""
        reply = self._begin("OnlineDeployments_CreateOrUpdate", DEPLOY_SECONDS, self._state(made), error)
        return {**self._told(made, "e/deployments/"), **reply}

    def online_deployments_update(self, body):
        self._idle(body["endpointName"])
        there = self.deployments[body["deploymentName"]]
        there.state = "Scaling"

        def act(*, failed):
            there.state = "Failed" if failed else "Succeeded"
            there.body = {**there.body, "sku": {**there.body["sku"], **body["body"]["sku"]}}

        return self._begin("OnlineDeployments_Update", SHORT_SECONDS, act)

    def online_deployments_delete(self, body):
        name = body["deploymentName"]
        endpoint = self._idle(body["endpointName"])
        if name not in self.deployments:
            return {}
        properties = endpoint.body["properties"]
        if properties.get("traffic", {}).get(name) or properties.get("mirrorTraffic", {}).get(name):
            raise SpecError("Cannot delete a deployment with live traffic", given=name)
        there = self.deployments[name]
        there.state = "Deleting"

        def act(*, failed):
            there.state = "Failed"
            if not failed:
                del self.deployments[name]

        return self._begin("OnlineDeployments_Delete", SHORT_SECONDS, act)

    def environment_versions_create_or_update(self, body):
        place = f"{WORKSPACE}/environments/{body['name']}/versions/{body['version']}"
        if self.environments.setdefault(place, body["body"]) != body["body"]:
            raise Conflict("a version of an environment does not change", given=place)
        return {"id": place, **body["body"]}

    def environment_versions_get(self, body):
        place = f"{WORKSPACE}/environments/{body['name']}/versions/{body['version']}"
        if place not in self.environments:
            raise NotFound("no such environment version", given=place)
        return {"id": place, **self.environments[place]}

    def autoscale_settings_list_by_resource_group(self, _body):
        return {"value": [dict(each) for each in self.settings.values()]}

    def autoscale_settings_create_or_update(self, body):
        wanted = body["body"]
        target = wanted["properties"]["targetResourceUri"]
        name = body["autoscaleSettingName"]
        others = [each for each in self.settings.values() if each["name"] != name]
        if any(each["properties"]["targetResourceUri"] == target for each in others):
            raise Conflict("another setting scales this resource", given=target)
        if target.rpartition("/")[2] not in self.deployments:
            self.wrongs.append(f"{name} scales nothing")
        profiles = [{**each, "fixedDate": None, "recurrence": None} for each in wanted["properties"]["profiles"]]
        self.settings[name] = {**wanted, "name": name, "properties": {**wanted["properties"], "profiles": profiles}}
        return dict(self.settings[name])

    def autoscale_settings_delete(self, body):
        self.settings.pop(body["autoscaleSettingName"], None)
        return {}


def environment(**fields):
    return AzureEnvironment(
        **{
            "name": "azure-test",
            "region": "westeurope",
            "account": SUBSCRIPTION,
            "resource_group": "kit",
            "workspace": "kit",
            "stores": {"artefacts": {"uri": "https://kit.blob.core.windows.net/artefacts"}},
            "identities": {"server": SERVER},
            "images": {"serving": {"uri": f"kit.azurecr.io/serving@sha256:{'0' * 64}"}},
            "tags": {"CostCentre": "42"},
            **fields,
        }
    )


def shell(name):
    body = {
        "name": name,
        "location": "westeurope",
        "kind": "Managed",
        "tags": {"mlinfra_name": "credit-risk", "Stack": "azure-dev"},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {SERVER: {}}},
        "properties": {"authMode": "Key", "publicNetworkAccess": "Enabled"},
    }
    return Resource(body, "Succeeded", 0.0)


def left_over(azure):
    """What scales nothing."""
    there = azure.deployments if azure.endpoint else {}
    targets = {name: each["properties"]["targetResourceUri"] for name, each in azure.settings.items()}
    return [name for name, target in targets.items() if target.rpartition("/")[2] not in there]


def is_shown(observed, desired):
    """Whether reads tell the traffic that was asked for; they may lag."""
    shown = observed.traffic if observed else {}
    return {name: share for name, share in shown.items() if share} == {
        name: share for name, share in desired.traffic.items() if share
    }


@pytest.fixture
def cloud():
    return SimpleNamespace(
        platform=Azure,
        environment=environment,
        renderer=renderer,
        observer=observer,
        artefacts="https://kit.blob.core.windows.net/artefacts",
        native_model=lambda version: f"{WORKSPACE}/models/credit-risk/versions/{version}",
        shell=shell,
        left_over=left_over,
        is_shown=is_shown,
        names={
            "DEPLOY_SECONDS": DEPLOY_SECONDS,
            "GROUP": GROUP,
            "SERVER": SERVER,
            "START": START,
            "WORKSPACE": WORKSPACE,
        },
    )
