"""SageMaker's hosting as a small pure model: what its API description says of endpoints, and a clock that tests move.

Every request is checked against the adapter's schema before it is answered, and what would hurt users (a configuration
deleted while it is used, traffic to nobody, a target left behind) is written down in `wrongs`.
"""

import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mlinfra.contract.endpoints import Guard, Rule
from mlinfra.environment import AwsEnvironment
from mlinfra.errors import Conflict, NotFound
from mlinfra_aws import config
from mlinfra_aws import observe as observer
from mlinfra_aws.render import endpoints as renderer

START = datetime(2030, 1, 1, tzinfo=UTC)
ACCOUNT = "111122223333"
UPDATE_SECONDS, WEIGHT_SECONDS = 300.0, 20.0
OPERATION = re.compile(r"(?<!^)(?=[A-Z])")


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
        self.alarms = {"errors-high": {}, "slow": {}}  # those of the environment, and what is made beside them
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
        told = body.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {}).get("Alarms", [])
        if unknown := [each["AlarmName"] for each in told if each["AlarmName"] not in self.alarms]:
            self.wrongs.append(f"a guard was to watch {unknown}, which are not there")
            raise Conflict("Could not find CloudWatch alarm(s)", given=", ".join(unknown))
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

    # CloudWatch

    def put_metric_alarm(self, body):
        self.alarms[body["AlarmName"]] = body
        return {}

    def describe_alarms(self, body):
        listed = [each for name, each in sorted(self.alarms.items()) if name.startswith(body["AlarmNamePrefix"])]
        assert len(listed) <= body["MaxRecords"]
        return {"MetricAlarms": [{key: value for key, value in each.items() if key != "Tags"} for each in listed]}

    def delete_alarms(self, body):
        for name in body["AlarmNames"]:
            if name not in self.alarms:
                raise NotFound("Unknown alarm(s)", given=name)
            guard = self.endpoint.guard if self.endpoint else None
            if guard and name in str(guard):
                self.wrongs.append(f"{name} was deleted while a guard watches it")
            del self.alarms[name]
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


def environment(**fields):
    return AwsEnvironment(
        name="aws-test",
        region="eu-west-1",
        account=ACCOUNT,
        stores={"artefacts": {"uri": "s3://kit-artefacts"}},
        identities={"server": f"arn:aws:iam::{ACCOUNT}:role/server"},
        images={"serving": {"uri": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/serving@sha256:{'0' * 64}"}},
        tags={"CostCentre": "42"},
        **fields,
    )


def left_over(sagemaker):
    """What is not used by the endpoint."""
    used = sagemaker._used()
    models = {each["ModelName"] for name in used for each in sagemaker.configs[name]["ProductionVariants"]}
    weights = sagemaker.endpoint.weights if sagemaker.endpoint else {}
    return [
        *(name for name in sagemaker.configs if name not in used),
        *(name for name in sagemaker.models if name not in models),
        *(name for name in sagemaker.targets if name not in weights),
        *(name for name in sagemaker.alarms if name.startswith("mlinfra") and name.rpartition("-")[0] not in used),
    ]


@pytest.fixture
def cloud():
    return SimpleNamespace(
        platform=SageMaker,
        environment=environment,
        renderer=renderer,
        observer=observer,
        artefacts="s3://kit-artefacts",
        native_model=lambda _version: "",
        left_over=left_over,
        is_shown=lambda _observed, _desired: True,
        names={"Guard": Guard, "Rule": Rule, "START": START, "count": itertools.count},
    )
