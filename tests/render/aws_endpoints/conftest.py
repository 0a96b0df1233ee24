"""SageMaker's hosting as a small pure model: what its API description says of endpoints, and a clock that tests move.

Every request is checked against the adapter's schema before it is answered, and what would hurt users (a configuration
deleted while it is used, traffic to nobody, a target left behind) is written down in `wrongs`.
"""

import itertools
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired, Guard
from mlinfra.contract.jobs import ID_TAG, Artefact
from mlinfra.contract.requests import found
from mlinfra.contract.steps import Done, Failed, Send, Wait
from mlinfra.environment import AwsEnvironment
from mlinfra.errors import Conflict, NotFound, Throttled, Unavailable
from mlinfra.spec import EndpointSpec
from mlinfra_aws import config
from mlinfra_aws import observe as observer
from mlinfra_aws.render import endpoints as renderer

START = datetime(2030, 1, 1, tzinfo=UTC)
ACCOUNT = "111122223333"
UPDATE_SECONDS, WEIGHT_SECONDS = 300.0, 20.0


OPERATION = re.compile(r"(?<!^)(?=[A-Z])")


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Fleet:
    """An endpoint. `pending` is the configuration on its way in; it is there, or taken back, at `ready`."""

    name: str
    config: str
    created: float
    modified: float
    ready: float
    status: str = "Creating"
    pending: str = ""
    weights: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    reason: str = ""
    guard: dict | None = None


class SageMaker:
    def __init__(self):
        self.now = 0.0
        self.models, self.configs, self.tags = {}, {}, {}
        self.endpoint = None
        self.targets, self.policies = {}, {}
        self.stillborn = set()  # variants' model data that never becomes ready
        self.alarming = False
        self.sent, self.made, self.wrongs = [], [], []

    # time

    def advance(self, seconds):
        self.now += seconds
        self._settle()

    def _time(self, at):
        return (START + timedelta(seconds=at)).isoformat()

    def _settle(self):
        fleet = self.endpoint
        if fleet is None or self.now < fleet.ready:
            return
        if fleet.status == "Deleting":
            self.endpoint = None
            self.tags.pop(self._arn("endpoint", fleet.name), None)
            self.wrongs += [f"target {name} outlived its endpoint" for name in self.targets]
        elif fleet.status == "Creating":
            bad = self._bad(fleet.config)
            fleet.status, fleet.reason = ("Failed", bad) if bad else ("InService", "")
            if not bad:
                self._take(fleet, fleet.config, retain=False)
            fleet.modified = fleet.ready
        elif fleet.status == "Updating":
            self._settle_update(fleet)
            fleet.status, fleet.modified = "InService", fleet.ready

    def _settle_update(self, fleet):
        if not fleet.pending:
            fleet.weights |= fleet.after.get("weights", {})
            fleet.counts |= fleet.after.get("counts", {})
            return
        bad = self._bad(fleet.pending)
        if not bad and fleet.guard is not None and self.alarming:
            bad = "One or more of the alarms in the auto-rollback configuration went off"
        if bad:
            fleet.reason = bad
        else:
            self._take(fleet, fleet.pending, retain=True)
            fleet.config, fleet.reason = fleet.pending, ""
        fleet.pending, fleet.guard = "", None

    def _bad(self, name):
        for variant in self.configs[name]["ProductionVariants"]:
            model = self.models[variant["ModelName"]]
            uri = str(model["PrimaryContainer"])
            if any(each in uri for each in self.stillborn):
                return f"The primary container for production variant {variant['VariantName']} did not pass the ping"
        return ""

    def _take(self, fleet, name, *, retain):
        variants = self.configs[name]["ProductionVariants"]
        names = {each["VariantName"] for each in variants}
        gone = fleet.weights.keys() - names
        self.wrongs += [f"{each} went with weight {fleet.weights[each]}" for each in gone if fleet.weights[each]]
        for each in variants:
            known = retain and each["VariantName"] in fleet.weights
            if not known:
                fleet.weights[each["VariantName"]] = each["InitialVariantWeight"]
                fleet.counts[each["VariantName"]] = each.get("InitialInstanceCount", 0)
        for each in gone:
            del fleet.weights[each], fleet.counts[each]

    # requests

    def send(self, request):
        config.check_request(request)
        self._settle()
        if request.effect:
            self.sent.append(request.operation)
        return getattr(self, OPERATION.sub("_", request.operation).lower())(request.body)

    def _arn(self, kind, name):
        return f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:{kind}/{name}"

    def _there(self, name):
        if self.endpoint is None or self.endpoint.name != name:
            raise NotFound("Could not find endpoint", given=name)
        return self.endpoint

    def _idle(self, name):
        fleet = self._there(name)
        if fleet.status != "InService":
            raise Conflict("Cannot update in-progress endpoint", given=fleet.status)
        return fleet

    def create_model(self, body):
        if body["ModelName"] in self.models:
            raise Conflict("Cannot create already existing model", given=body["ModelName"])
        self.models[body["ModelName"]] = {key: value for key, value in body.items() if key not in {"ModelName", "Tags"}}
        self.tags[body["ModelName"]] = body["Tags"]
        self.made.append(body["ModelName"])
        return {"ModelArn": self._arn("model", body["ModelName"])}

    def describe_model(self, body):
        if body["ModelName"] not in self.models:
            raise NotFound("Could not find model", given=body["ModelName"])
        return {"ModelName": body["ModelName"], **self.models[body["ModelName"]]}

    def list_models(self, body):
        listed = [{"ModelName": name} for name in self.models if body["NameContains"] in name]
        assert len(listed) <= body["MaxResults"]
        return {"Models": listed}

    def delete_model(self, body):
        if body["ModelName"] not in self.models:
            raise NotFound("Could not find model", given=body["ModelName"])
        users = [name for name in self._used() if body["ModelName"] in str(self.configs[name])]
        self.wrongs += [f"{body['ModelName']} was deleted while {name} is used" for name in users]
        del self.models[body["ModelName"]], self.tags[body["ModelName"]]
        return {}

    def create_endpoint_config(self, body):
        if body["EndpointConfigName"] in self.configs:
            raise Conflict("Cannot create already existing endpoint configuration", given=body["EndpointConfigName"])
        missing = [each for each in body["ProductionVariants"] if each["ModelName"] not in self.models]
        if missing:
            raise NotFound("Could not find model", given=missing[0]["ModelName"])
        content = {key: value for key, value in body.items() if key not in {"EndpointConfigName", "Tags"}}
        serverless = [each for each in body["ProductionVariants"] if "ServerlessConfig" in each]
        if serverless and len(body["ProductionVariants"]) > 1:
            self.wrongs.append("a serverless endpoint was given several variants")
        self.configs[body["EndpointConfigName"]] = {**content, "at": self.now}
        self.tags[self._arn("endpoint-config", body["EndpointConfigName"])] = body["Tags"]
        self.made.append(body["EndpointConfigName"])
        return {"EndpointConfigArn": self._arn("endpoint-config", body["EndpointConfigName"])}

    def describe_endpoint_config(self, body):
        if body["EndpointConfigName"] not in self.configs:
            raise NotFound("Could not find endpoint configuration", given=body["EndpointConfigName"])
        content = {key: value for key, value in self.configs[body["EndpointConfigName"]].items() if key != "at"}
        arn = self._arn("endpoint-config", body["EndpointConfigName"])
        return {"EndpointConfigName": body["EndpointConfigName"], "EndpointConfigArn": arn, **content}

    def list_endpoint_configs(self, body):
        listed = [
            {"EndpointConfigName": name, "CreationTime": self._time(content["at"])}
            for name, content in self.configs.items()
            if body["NameContains"] in name
        ]
        assert len(listed) <= body["MaxResults"]
        return {"EndpointConfigs": listed}

    def delete_endpoint_config(self, body):
        if body["EndpointConfigName"] not in self.configs:
            raise NotFound("Could not find endpoint configuration", given=body["EndpointConfigName"])
        if body["EndpointConfigName"] in self._used():
            self.wrongs.append(f"{body['EndpointConfigName']} was deleted while the endpoint uses it")
        del self.configs[body["EndpointConfigName"]]
        return {}

    def _used(self):
        fleet = self.endpoint
        return {name for name in (fleet.config, fleet.pending) if name} if fleet else set()

    def create_endpoint(self, body):
        if self.endpoint is not None:
            raise Conflict("Cannot create already existing endpoint", given=body["EndpointName"])
        if body["EndpointConfigName"] not in self.configs:
            raise NotFound("Could not find endpoint configuration", given=body["EndpointConfigName"])
        self.endpoint = Fleet(
            body["EndpointName"], body["EndpointConfigName"], self.now, self.now, self.now + UPDATE_SECONDS
        )
        self.tags[self._arn("endpoint", body["EndpointName"])] = body["Tags"]
        return {"EndpointArn": self._arn("endpoint", body["EndpointName"])}

    def describe_endpoint(self, body):
        fleet = self._there(body["EndpointName"])
        variants = [
            {
                "VariantName": name,
                "CurrentWeight": float(weight),
                "DesiredWeight": float(fleet.after.get("weights", {}).get(name, weight)),
                "CurrentInstanceCount": fleet.counts[name],
                "DesiredInstanceCount": fleet.after.get("counts", {}).get(name, fleet.counts[name]),
            }
            for name, weight in fleet.weights.items()
        ]
        pending = (
            {
                "EndpointConfigName": fleet.pending,
                "ProductionVariants": [
                    {"VariantName": each["VariantName"]} for each in self.configs[fleet.pending]["ProductionVariants"]
                ],
            }
            if fleet.pending
            else None
        )
        return {
            "EndpointName": body["EndpointName"],
            "EndpointArn": self._arn("endpoint", body["EndpointName"]),
            "EndpointConfigName": fleet.config,
            "EndpointStatus": fleet.status,
            "CreationTime": self._time(fleet.created),
            "LastModifiedTime": self._time(fleet.modified),
            **({"ProductionVariants": variants} if variants else {}),
            **({"FailureReason": fleet.reason} if fleet.reason else {}),
            **({"PendingDeploymentSummary": pending} if pending else {}),
        }

    def list_endpoints(self, body):
        fleet = self.endpoint
        return {
            "Endpoints": [self.describe_endpoint({"EndpointName": fleet.name})]
            if fleet and body["NameContains"] in fleet.name
            else []
        }

    def update_endpoint(self, body):
        fleet = self._idle(body["EndpointName"])
        if body["EndpointConfigName"] not in self.configs:
            raise NotFound("Could not find endpoint configuration", given=body["EndpointConfigName"])
        assert body["RetainAllVariantProperties"]
        self._refuse_moved_targets(fleet, body["EndpointConfigName"])
        names = {each["VariantName"] for each in self.configs[body["EndpointConfigName"]]["ProductionVariants"]}
        if body.get("DeploymentConfig") and names != set(fleet.weights):
            raise Conflict("a guarded update keeps the variants' names")
        fleet.status, fleet.pending, fleet.guard = "Updating", body["EndpointConfigName"], body.get("DeploymentConfig")
        fleet.modified, fleet.ready, fleet.after = self.now, self.now + UPDATE_SECONDS, {}
        return {"EndpointArn": self._arn("endpoint", body["EndpointName"])}

    def _refuse_moved_targets(self, fleet, name):
        new = {each["VariantName"]: each.get("InstanceType") for each in self.configs[name]["ProductionVariants"]}
        for each in self.configs[fleet.config]["ProductionVariants"]:
            variant = each["VariantName"]
            if variant in self.targets and new.get(variant) != each.get("InstanceType"):
                self.wrongs.append(f"{variant} was changed while it was a target")
                raise Conflict("the variant is a target of automatic scaling", given=variant)

    def update_endpoint_weights_and_capacities(self, body):
        fleet = self._idle(body["EndpointName"])
        weights = {
            each["VariantName"]: each["DesiredWeight"]
            for each in body["DesiredWeightsAndCapacities"]
            if "DesiredWeight" in each
        }
        counts = {
            each["VariantName"]: each["DesiredInstanceCount"]
            for each in body["DesiredWeightsAndCapacities"]
            if "DesiredInstanceCount" in each
        }
        assert (weights.keys() | counts.keys()) <= fleet.weights.keys()
        if len(counts) > 1:
            raise Conflict("one call changes the capacity of one variant")
        if not sum((fleet.weights | weights).values()):
            self.wrongs.append("nobody has traffic")
        fleet.status, fleet.after = "Updating", {"weights": weights, "counts": counts}
        fleet.modified, fleet.ready = self.now, self.now + WEIGHT_SECONDS
        return {"EndpointArn": self._arn("endpoint", body["EndpointName"])}

    def delete_endpoint(self, body):
        fleet = self._there(body["EndpointName"])
        if fleet.status not in {"InService", "Failed"}:
            raise Conflict("Cannot delete in-progress endpoint", given=fleet.status)
        fleet.status, fleet.ready = "Deleting", self.now + WEIGHT_SECONDS
        return {}

    def list_tags(self, body):
        return {"Tags": list(self.tags[body["ResourceArn"]])}

    def add_tags(self, body):
        known = {each["Key"]: each for each in self.tags[body["ResourceArn"]]}
        self.tags[body["ResourceArn"]] = list((known | {each["Key"]: each for each in body["Tags"]}).values())
        return {}

    def delete_tags(self, body):
        self.tags[body["ResourceArn"]] = [
            each for each in self.tags[body["ResourceArn"]] if each["Key"] not in body["TagKeys"]
        ]
        return {}

    # Application Auto Scaling

    def describe_scalable_targets(self, body):
        listed = [
            {"ResourceId": f"endpoint/{self.endpoint.name}/variant/{name}", "MinCapacity": low, "MaxCapacity": high}
            for name, (low, high) in self.targets.items()
        ]
        return {"ScalableTargets": [each for each in listed if each["ResourceId"] in body["ResourceIds"]]}

    def describe_scaling_policies(self, body):
        return {
            "ScalingPolicies": [
                {
                    "PolicyName": body["PolicyNames"][0],
                    "ResourceId": f"endpoint/{body['PolicyNames'][0]}/variant/{name}",
                    "TargetTrackingScalingPolicyConfiguration": {"TargetValue": value},
                }
                for name, value in self.policies.items()
            ]
        }

    def register_scalable_target(self, body):
        variant = body["ResourceId"].rpartition("/")[2]
        fleet = self.endpoint
        if fleet is None or fleet.status != "InService" or variant not in fleet.weights:
            self.wrongs.append(f"{variant} became a target before it was in service")
        self.targets[variant] = (body["MinCapacity"], body["MaxCapacity"])
        fleet.counts[variant] = min(body["MaxCapacity"], max(body["MinCapacity"], fleet.counts[variant]))
        return {}

    def put_scaling_policy(self, body):
        self.policies[body["ResourceId"].rpartition("/")[2]] = body["TargetTrackingScalingPolicyConfiguration"][
            "TargetValue"
        ]
        return {}

    def deregister_scalable_target(self, body):
        variant = body["ResourceId"].rpartition("/")[2]
        if variant not in self.targets:
            raise NotFound("no such target", given=variant)
        del self.targets[variant]
        self.policies.pop(variant, None)
        return {}


class Engine:
    """The engine's loop, as far as a procedure sees it; `faults` says what happens to the nth effect."""

    def __init__(self, platform, environment, faults=()):
        self.platform, self.environment = platform, environment
        self.faults = dict(faults)
        self.count = 0

    def look(self, name):
        replies = {}
        for request in renderer.observe(name, self.environment):
            known = {step: reply for step, reply in replies.items() if reply is not None}
            replies[request.step] = None
            if request.refs <= known.keys():
                try:
                    replies[request.step] = self.platform.send(request.resolve(known))
                except NotFound:
                    continue
        return observer.endpoint(replies, self.environment)

    def step(self, desired):
        observed = self.look(desired.physical_name)
        return renderer.next_step(desired, observed, self.environment)

    def reach(self, desired, rounds=400):
        """The last step: Done, or Failed."""
        for _ in range(rounds):
            step = self.step(desired)
            if isinstance(step, Done | Failed):
                return step
            if isinstance(step, Wait):
                self.platform.advance(step.poll_after)
                continue
            assert isinstance(step, Send)
            try:
                for request in step.requests:
                    self.effect(request)
            except (Killed, Conflict, Throttled, Unavailable):
                self.platform.advance(1.0)
        raise AssertionError(f"never there: {step}")

    def effect(self, request):
        self.count += 1
        fault = self.faults.get(self.count)
        self.platform.advance(0.01)
        if fault == "killed before":
            raise Killed
        if fault == "throttled":
            raise Throttled("slow down", sent=False)
        try:
            self.platform.send(request)
        except NotFound:
            if not request.operation.startswith(("Delete", "Deregister")):
                raise
        except Conflict:
            if request.lookup is None or not found(request.lookup, self.platform.send(request.lookup.request)):
                raise
        if fault == "killed after":
            raise Killed
        if fault == "lost":
            raise Unavailable("no answer")


class World:
    """One endpoint and the wishes for it."""

    def __init__(self, **fields):
        self.platform = SageMaker()
        self.environment = AwsEnvironment(
            name="aws-test",
            region="eu-west-1",
            account=ACCOUNT,
            stores={"artefacts": {"uri": "s3://kit-artefacts"}},
            identities={"server": f"arn:aws:iam::{ACCOUNT}:role/server"},
            images={"serving": {"uri": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/serving@sha256:{'0' * 64}"}},
            tags={"CostCentre": "42"},
            **fields,
        )
        self.name = renderer.physical_name("credit-risk", self.environment)

    def engine(self, faults=()):
        return Engine(self.platform, self.environment, faults)

    def deployment(self, version, traffic=100, **changes):
        digest = f"sha256:{version:064x}"
        name = f"main-{version:08x}"
        server = {"endpoint": "credit-risk", "deployment": name, "name": "credit-risk", "digest": digest}
        made = DeploymentDesired(
            name=name,
            variant="main",
            model="credit-risk",
            version=str(version),
            digest=digest,
            native_model="",
            artefact=Artefact(f"s3://kit-artefacts/models/{digest[7:]}", digest, 1, is_folder=True),
            traffic=traffic,
            replicas=1,
            server=server,
            tags={ID_TAG: f"{version:040x}"},
        )
        return replace(made, **changes)

    def desired(self, shares=None, *, deployments=None, guard=None, expires=None, **spec):
        """Shares by version; nothing at all is an endpoint that should be gone."""
        chosen = deployments or tuple(self.deployment(version, share) for version, share in (shares or {}).items())
        return EndpointDesired(
            spec=EndpointSpec.from_document({"name": "credit-risk", "model": "credit-risk:1", **spec}),
            name="credit-risk",
            physical_name=self.name,
            deployments=tuple(chosen),
            expires=expires,
            tags={**self.environment.tags, ID_TAG: "0" * 40},
            guard=guard,
        )

    def reach(self, shares=None, *, faults=(), **fields):
        return self.engine(faults).reach(self.desired(shares, **fields))

    def look(self):
        return self.engine().look(self.name)

    @property
    def shares(self):
        """Version -> percent, as the adapter reads it back."""
        observed = self.look()
        return {int(each.version): each.traffic for each in observed.deployments} if observed else {}

    @property
    def left_over(self):
        """What was made and is not used: nothing, when all is well."""
        used = self.platform._used()
        models = {each["ModelName"] for name in used for each in self.platform.configs[name]["ProductionVariants"]}
        weights = self.platform.endpoint.weights if self.platform.endpoint else {}
        return [
            *(name for name in self.platform.configs if name not in used),
            *(name for name in self.platform.models if name not in models),
            *(name for name in self.platform.targets if name not in weights),
        ]


@pytest.fixture
def world():
    return World()


@pytest.fixture
def new_world():
    return World


@pytest.fixture
def kit():
    """Names for tests, which cannot import this file."""
    return SimpleNamespace(
        Done=Done, Failed=Failed, Guard=Guard, Send=Send, START=START, Wait=Wait, count=itertools.count
    )
