"""Vertex AI's endpoints as a small pure model: what its API description says of them, and a clock that tests move.

Every request is checked against the adapter's schema before it is answered, and what would hurt users (traffic to
nobody, a model that served taken away) is written down in `wrongs`.
"""

import hashlib
import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mlinfra.environment import GcpEnvironment
from mlinfra.errors import Conflict, NotFound, SpecError
from mlinfra_gcp import config
from mlinfra_gcp import observe as observer
from mlinfra_gcp.render import endpoints as renderer

START = datetime(2030, 1, 1, tzinfo=UTC)
PROJECT, NUMBER, REGION = "kit-project", "111122223333", "europe-west4"
HERE = f"projects/{PROJECT}/locations/{REGION}"
DEPLOY_SECONDS, SHORT_SECONDS = 600.0, 20.0
OPERATION = re.compile(r"(?<!^)(?=[A-Z])")
MUTABLE = {"minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs"}


@dataclass
class Operation:
    """A long-running operation: what it does when it is over, or why it fails."""

    name: str
    kind: str
    created: float
    ready: float
    act: object
    error: str = ""
    done: bool = False


@dataclass
class Endpoint:
    body: dict
    created: float
    deployed: list = field(default_factory=list)
    split: dict = field(default_factory=dict)
    version: int = 1


class Vertex:
    def __init__(self):
        self.now = 0.0
        self.endpoint, self.models, self.operations = None, {}, []
        self.stillborn = set()  # parts of the addresses of artefacts whose servers never become ready
        self.unwell = set()  # operations that fail, by name
        self.forgetful = False  # whether operations are known to nobody but those who have their handles
        self.numbers = itertools.count(1)
        self.sent, self.made, self.asked, self.wrongs = [], [], [], []

    # time

    def advance(self, seconds):
        self.now += seconds
        self._settle()

    def _time(self, at):
        return (START + timedelta(seconds=at)).isoformat().replace("+00:00", "Z")

    def _settle(self):
        for operation in self.operations:
            if not operation.done and self.now >= operation.ready:
                operation.done = True
                if not operation.error:
                    operation.act()

    def _begin(self, target, kind, seconds, act, error=""):
        name = f"{self._told(target)}/operations/{next(self.numbers)}"
        operation = Operation(name, kind, self.now, self.now + seconds, act, error or self._unwell(kind))
        self.operations.append(operation)
        return self._operation(operation) | {"done": False}

    def _unwell(self, kind):
        return "Internal error encountered." if kind in self.unwell else ""

    def _told(self, name):
        """The service names its project by number, whatever it was asked with."""
        return name.replace(f"projects/{PROJECT}/", f"projects/{NUMBER}/")

    def _busy(self, name):
        return [each for each in self.operations if not each.done and each.name.startswith(self._told(name) + "/")]

    def _idle(self, name):
        if self.endpoint is None or self.endpoint.body["name"] != self._told(name):
            raise NotFound("The Endpoint does not exist.", given=name)
        if self._busy(name):
            raise Conflict(f"There are other operations running on the Endpoint {name!r}.")
        return self.endpoint

    # requests

    def send(self, request):
        config.check_request(request)
        self._settle()
        if request.effect:
            self.sent.append(request.operation)
        return getattr(self, OPERATION.sub("_", request.operation).lower())(request.body)

    def _operation(self, operation):
        metadata = {
            "@type": f"type.googleapis.com/google.cloud.aiplatform.v1.{operation.kind}OperationMetadata",
            "genericMetadata": {"createTime": self._time(operation.created)},
        }
        told = {"name": operation.name, "metadata": metadata}
        if operation.done:
            told |= {"done": True}
            told |= {"error": {"code": 9, "message": operation.error}} if operation.error else {"response": {}}
        return told

    def get_operation(self, body):
        for each in self.operations:
            if each.name == body["name"]:
                return self._operation(each)
        raise NotFound("no such operation", given=body["name"])

    def list_operations(self, body):
        start = f"{self._told(body['name'])}/operations/"
        known = [] if self.forgetful else self.operations
        return {"operations": [self._operation(each) for each in known if each.name.startswith(start)]}

    def create_endpoint(self, body):
        name = f"{body['parent']}/endpoints/{body['endpointId']}"
        if self.endpoint is not None or self._busy(name):
            raise Conflict("the Endpoint exists already", given=name)
        made = Endpoint({**body["endpoint"], "name": self._told(name)}, self.now)
        return self._begin(name, "CreateEndpoint", SHORT_SECONDS, lambda: setattr(self, "endpoint", made))

    def get_endpoint(self, body):
        endpoint = self.endpoint
        if endpoint is None or endpoint.body["name"] != self._told(body["name"]):
            raise NotFound("The Endpoint does not exist.", given=body["name"])
        dedicated = endpoint.body.get("dedicatedEndpointEnabled")
        return {
            **endpoint.body,
            "createTime": self._time(endpoint.created),
            "etag": f"etag-{endpoint.version}",
            **({"deployedModels": [dict(each) for each in endpoint.deployed]} if endpoint.deployed else {}),
            **({"trafficSplit": dict(endpoint.split)} if endpoint.split else {}),
            **({"dedicatedEndpointDns": f"1.{REGION}-{NUMBER}.prediction.vertexai.goog"} if dedicated else {}),
        }

    def list_endpoints(self, body):
        key, _, value = body["filter"].removeprefix("labels.").partition("=")
        endpoint = self.endpoint
        if endpoint is None or endpoint.body.get("labels", {}).get(key) != value:
            return {}
        return {"endpoints": [self.get_endpoint({"name": endpoint.body["name"]})]}

    def update_endpoint(self, body):
        endpoint = self._idle(body["endpoint"]["name"])
        if body["endpoint"].get("etag", f"etag-{endpoint.version}") != f"etag-{endpoint.version}":
            raise Conflict("the etag is stale")
        for name in body["updateMask"].split(","):
            if name == "trafficSplit":
                self._split(body["endpoint"].get("trafficSplit", {}))
            else:
                endpoint.body[name] = body["endpoint"][name]
        endpoint.version += 1
        return self.get_endpoint({"name": endpoint.body["name"]})

    def _split(self, split):
        ids = {each["id"] for each in self.endpoint.deployed}
        if split and (sum(split.values()) != 100 or not split.keys() <= ids):
            raise SpecError("traffic_split must add up to 100 over deployed models", given=str(split))
        if self.endpoint.split and not split:
            self.wrongs.append("nobody has traffic any more")
        self.endpoint.split = dict(split)
        self.endpoint.version += 1

    def delete_endpoint(self, body):
        try:
            endpoint = self._idle(body["name"])
        except NotFound:
            return {}
        if endpoint.deployed:
            raise Conflict("the Endpoint has deployed models")
        return self._begin(body["name"], "Delete", SHORT_SECONDS, lambda: setattr(self, "endpoint", None))

    def deploy_model(self, body):
        endpoint = self._idle(body["endpoint"])
        wanted = body["deployedModel"]
        self.asked.append(wanted["id"])
        model = self.models.get(self._told(wanted["model"]))
        if model is None:
            raise NotFound("The Model does not exist.", given=wanted["model"])
        if not re.fullmatch(r"\d{1,10}", wanted["id"]) or len(wanted["displayName"]) > 128:
            raise SpecError("not an id", given=wanted["id"])
        if any(each["id"] == wanted["id"] for each in endpoint.deployed):
            raise Conflict("a deployed model has this id already", given=wanted["id"])
        split = body.get("trafficSplit", {})
        if split and sum(split.values()) != 100:
            raise SpecError("traffic_split must add up to 100", given=str(split))
        bad = any(each in model["artifactUri"] for each in self.stillborn)
        made = {**wanted, "model": self._told(wanted["model"]), "createTime": self._time(self.now)}

        def act():
            endpoint.deployed.append(made)
            endpoint.version += 1
            if split:
                self._split({(wanted["id"] if name == "0" else name): share for name, share in split.items()})

        error = "Model server never became ready." if bad else ""
        return self._begin(body["endpoint"], "DeployModel", DEPLOY_SECONDS, act, error)

    def undeploy_model(self, body):
        endpoint = self._idle(body["endpoint"])
        own = next((each for each in endpoint.deployed if each["id"] == body["deployedModelId"]), None)
        if own is None:
            return {}
        split = body.get("trafficSplit", endpoint.split)
        is_last = len(endpoint.deployed) == 1
        if split.get(own["id"]) and not is_last:
            raise Conflict("the deployed model has traffic", given=own["id"])

        def act():
            endpoint.deployed.remove(own)
            endpoint.split = {} if is_last else dict(split)
            endpoint.version += 1

        return self._begin(body["endpoint"], "UndeployModel", SHORT_SECONDS, act)

    def mutate_deployed_model(self, body):
        endpoint = self._idle(body["endpoint"])
        wanted = body["deployedModel"]
        names = [name.removeprefix("dedicatedResources.") for name in body["updateMask"].split(",")]
        assert set(names) <= MUTABLE

        def act():
            own = next(each for each in endpoint.deployed if each["id"] == wanted["id"])
            changes = {name: wanted["dedicatedResources"].get(name) for name in names}
            own["dedicatedResources"] = {
                name: value for name, value in {**own["dedicatedResources"], **changes}.items() if value is not None
            }

        return self._begin(body["endpoint"], "MutateDeployedModel", SHORT_SECONDS, act)

    def upload_model(self, body):
        name = self._told(f"{body['parent']}/models/{body['modelId']}")
        assert re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", body["modelId"])
        if name in self.models or self._busy(name):
            raise Conflict("a Model with this id exists already", given=name)
        self.made.append(name)
        made = {**body["model"], "name": name}

        def act():
            self.models[name] = {**made, "createTime": self._time(self.now)}

        return self._begin(name, "UploadModel", SHORT_SECONDS, act)

    def get_model(self, body):
        if self._told(body["name"]) not in self.models:
            raise NotFound("The Model does not exist.", given=body["name"])
        return dict(self.models[self._told(body["name"])])

    def list_models(self, body):
        key, _, value = body["filter"].removeprefix("labels.").partition("=")
        listed = [each for each in self.models.values() if each["labels"].get(key) == value]
        assert len(listed) <= body["pageSize"]
        return {"models": [dict(each) for each in listed]} if listed else {}

    def delete_model(self, body):
        name = self._told(body["name"])
        if name not in self.models:
            return {}
        if self.endpoint and any(each["model"] == name for each in self.endpoint.deployed):
            raise Conflict("the Model is deployed", given=name)
        if any(each.kind == "DeployModel" for each in self._busy(self.endpoint.body["name"] if self.endpoint else "")):
            self.wrongs.append(f"{name} was deleted while something is deployed")
        return self._begin(name, "Delete", SHORT_SECONDS, lambda: self.models.pop(name, None))


def environment(**fields):
    return GcpEnvironment(
        **{
            "name": "gcp-test",
            "region": REGION,
            "account": PROJECT,
            "stores": {"artefacts": {"uri": "gs://kit-artefacts"}},
            "identities": {"server": f"server@{PROJECT}.iam.gserviceaccount.com"},
            "images": {"serving": {"uri": f"{REGION}-docker.pkg.dev/{PROJECT}/kit/serving@sha256:{'0' * 64}"}},
            "tags": {"CostCentre": "42"},
            **fields,
        }
    )


def shell(_name, own_id="1234567890"):
    name = f"projects/{NUMBER}/locations/{REGION}/endpoints/{own_id}"
    return Endpoint({"name": name, "displayName": "shell", "labels": {}}, 0.0)


def left_over(vertex):
    """Models that nothing serves, and those that are served twice."""
    used = [each["model"] for each in vertex.endpoint.deployed] if vertex.endpoint else []
    return [*(name for name in vertex.models if name not in used), *(name for name in used if used.count(name) > 1)]


@pytest.fixture
def cloud():
    return SimpleNamespace(
        platform=Vertex,
        environment=environment,
        renderer=renderer,
        observer=observer,
        artefacts="gs://kit-artefacts",
        native_model=lambda _version: "",
        shell=shell,
        left_over=left_over,
        is_shown=lambda _observed, _desired: True,
        names={
            "DEPLOY_SECONDS": DEPLOY_SECONDS,
            "START": START,
            "digest": lambda text: hashlib.sha256(text.encode()).hexdigest(),
        },
    )
