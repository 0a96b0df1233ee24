"""What is put into endpoints and deployments, and what Azure ML's description of them allows."""

import json
from dataclasses import replace

import pytest

from mlinfra.errors import CapabilityError, SpecError
from mlinfra.spec import EndpointSpec
from mlinfra_azure.config import check_request
from mlinfra_azure.render import endpoint_effects as effects
from mlinfra_azure.render import endpoint_parts as parts
from mlinfra_azure.render.endpoint_choices import choices
from mlinfra_azure.render.endpoint_names import (
    Serves,
    is_ours,
    physical_name,
    served,
    serves_text,
    setting_name,
    spec_name,
)


def endpoint(world, **fields):
    return parts.endpoint(world.desired({1: 100}, **fields), world.environment)


def deployment(world, **fields):
    wanted = fields.pop("deployment", None) or world.deployment(1)
    body = parts.deployment(world.desired(deployments=(wanted,), **fields), wanted, world.environment)
    check_request(effects.create_deployment(world.name, wanted.name, body, 1.0))
    return body


def test_an_endpoint_takes_entra_tokens_and_runs_as_the_server_s_identity(world, kit):
    body = endpoint(world)
    check_request(effects.create_endpoint(world.name, body, 1.0))
    assert body["properties"] == {"authMode": "AADToken", "publicNetworkAccess": "Enabled"}
    assert body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {kit.SERVER: {}}}
    assert body["location"] == "westeurope"


def test_a_private_endpoint_answers_inside_the_network_alone_and_its_servers_reach_no_other(new_world):
    world = new_world(network={"private_endpoints": True, "isolated": True})
    assert endpoint(world)["properties"]["publicNetworkAccess"] == "Disabled"
    assert deployment(world)["properties"]["egressPublicNetworkAccess"] == "Disabled"


def test_everything_bears_the_kit_s_tags_and_the_environment_s(world):
    assert endpoint(world)["tags"] == {
        "CostCentre": "42",
        "mlinfra_id": "0" * 40,
        "mlinfra_endpoint": "credit-risk",
        "mlinfra_environment": world.environment.suffix,
    }
    tags = deployment(world)["tags"]
    assert (tags["mlinfra_id"], tags["mlinfra_endpoint"]) == (f"{1:040x}", "credit-risk")


def test_a_deployment_serves_the_registered_version_in_the_environment_s_image(world, kit):
    properties = deployment(world)["properties"]
    assert properties["model"] == f"{kit.WORKSPACE}/models/credit-risk/versions/1"
    native_id, request = parts.serving_environment(world.environment)
    check_request(request)
    assert properties["environmentId"] == native_id
    made = request.body["body"]["properties"]
    assert made["image"] == world.environment.images["serving"].uri
    assert made["inferenceConfig"] == {
        "livenessRoute": {"port": 8080, "path": "/v2/health/live"},
        "readinessRoute": {"port": 8080, "path": "/v2/health/ready"},
        "scoringRoute": {"port": 8080, "path": "/score"},
    }


def test_a_version_of_a_registry_is_served_from_there(world):
    shared = "azureml://registries/shared/models/credit-risk/versions/1"
    assert deployment(world, deployment=world.deployment(1, native_model=shared))["properties"]["model"] == shared
    bare = deployment(world, deployment=world.deployment(7, native_model=""))
    assert bare["properties"]["model"].endswith("/models/credit-risk/versions/7")


def test_the_service_s_defaults_for_requests_are_not_kept(world):
    settings = deployment(world)["properties"]["requestSettings"]
    assert settings == {"requestTimeout": "PT60S", "maxConcurrentRequestsPerInstance": 500}


def test_a_server_has_ten_minutes_to_start(world):
    for kind in ("livenessProbe", "readinessProbe"):
        probe = deployment(world)["properties"][kind]
        assert (probe["period"], probe["failureThreshold"], probe["timeout"]) == ("PT10S", 60, "PT2S")


def told(body):
    variables = body["properties"]["environmentVariables"]
    texts = [
        variables[f"MLINFRA_MANIFEST_{number}"]
        for number in range(len(variables))
        if f"MLINFRA_MANIFEST_{number}" in variables
    ]
    return json.loads("".join(texts))["serving"]


CAPTURE = {
    "capture": "https://kit.blob.core.windows.net/captures/x",
    "capture_sample": 0.1,
    "capture_exclude": ["income"],
}


def test_the_server_is_told_who_it_is_where_its_model_lies_and_where_its_captures_go(world):
    server = {"deployment": "main-00000001", "digest": "sha256:1", **CAPTURE}
    body = deployment(world, deployment=world.deployment(1, server=server))
    assert told(body) == {**server, "model": "/var/mlinfra/model", "port": 8080}
    assert body["properties"]["modelMountPath"] == "/var/mlinfra/model"


def test_the_server_is_told_which_identity_is_its_own(new_world):
    world = new_world(native={"client_ids": {"server": "11111111-2222-4333-8444-555555555555"}})
    variables = deployment(world)["properties"]["environmentVariables"]
    assert variables["AZURE_CLIENT_ID"] == "11111111-2222-4333-8444-555555555555"


def test_the_server_is_told_where_its_account_is_and_whom_to_trust_if_not_as_usual(world, new_world):
    assert deployment(world)["properties"]["environmentVariables"].keys() == {"MLINFRA_MANIFEST_0"}
    elsewhere = new_world(endpoints={"blob": "https://localhost:1/"}, ca_bundle="/etc/own.pem")
    variables = deployment(elsewhere)["properties"]["environmentVariables"]
    assert variables["AZURE_STORAGE_ENDPOINT"] == "https://localhost:1/kit"
    assert variables["SSL_CERT_FILE"] == variables["REQUESTS_CA_BUNDLE"] == "/etc/own.pem"


def test_a_deployment_runs_on_the_cheapest_machine_that_is_enough(world):
    body = deployment(world, resources={"cpu": 4}, deployment=world.deployment(1, replicas=2))
    assert body["properties"]["instanceType"].startswith("Standard_")
    assert body["sku"] == {"name": "Default", "capacity": 2}
    assert body["properties"]["scaleSettings"] == {"scaleType": "Default"}
    larger = deployment(world, resources={"memory": "100Gi"})
    assert larger["properties"]["instanceType"] != body["properties"]["instanceType"]


def test_a_machine_that_is_named_is_taken(world):
    named = deployment(world, machine={"azure": "Standard_F4s_v2"})
    assert named["properties"]["instanceType"] == "Standard_F4s_v2"


def test_each_variant_gets_a_machine_for_its_own_resources(world):
    variants = {
        "main": {"model": "abc:1", "traffic": "50%"},
        "large": {"model": "abc:2", "traffic": "50%", "resources": {"memory": "100Gi"}},
    }
    one, two = world.deployment(1, 50), world.deployment(2, 50, name="large-00000002", variant="large")
    spec = EndpointSpec.from_document({"name": "credit-risk", "deployments": variants})
    desired = replace(world.desired(deployments=(one, two)), spec=spec)
    small, large = (
        parts.deployment(desired, each, world.environment)["properties"]["instanceType"] for each in (one, two)
    )
    assert small != large


KUBERNETES = {"azure": {"OnlineDeployments_CreateOrUpdate": {"properties": {"endpointComputeType": "Kubernetes"}}}}


def test_a_deployment_may_be_a_share_of_an_attached_cluster(new_world, kit):
    cluster = f"{kit.WORKSPACE}/computes/aks"
    world = new_world(compute={"kubernetes": cluster})
    asked = {"overrides": KUBERNETES, "resources": {"cpu": 2, "memory": "4Gi"}, "scale": {"min": 1, "max": 3}}
    properties = deployment(world, **asked)["properties"]
    assert properties["endpointComputeType"] == "Kubernetes"
    assert "instanceType" not in properties
    share = {"cpu": "2", "memory": "4Gi"}
    assert properties["containerResourceRequirements"] == {
        "containerResourceRequests": share,
        "containerResourceLimits": share,
    }
    assert properties["scaleSettings"] == {
        "scaleType": "TargetUtilization",
        "minInstances": 1,
        "maxInstances": 3,
        "targetUtilizationPercentage": 70,
    }
    assert endpoint(world, **asked)["properties"]["compute"] == cluster
    assert choices(world.desired(**asked).spec, world.environment)[0].value == "kubernetes"
    assert isinstance(world.reach({1: 100}, **asked), kit.Done)
    assert world.platform.settings == {}


def test_names_keep_the_vendor_s_limits_and_lead_back(world):
    for name in ("abc", "a" * 24, "credit-risk"):
        physical = physical_name(name, world.environment)
        assert len(physical) <= 32
        assert spec_name(physical, world.environment) == name
        assert is_ours(physical, world.environment)
    assert not is_ours("credit-risk-000000", world.environment)
    assert len(setting_name("a" * 32, "b" * 32)) <= 260


def test_what_a_deployment_serves_is_read_back(world):
    wanted = world.deployment(3)
    assert served(serves_text(wanted)) == ("credit-risk", "3", wanted.digest)
    assert served("") == served("a model of mine") == served("one:2") == Serves()


def test_the_machine_is_chosen_and_said_why(world):
    spec = EndpointSpec.from_document({"name": "abc", "model": "abc:1", "resources": {"cpu": 4}})
    machine, image = choices(spec, world.environment)
    assert "4 vCPU" in machine.reason
    assert image.value == world.environment.images["serving"].uri


def test_an_environment_without_a_serving_image_says_how_to_make_one(world):
    bare = world.environment.model_copy(update={"images": {}})
    with pytest.raises(CapabilityError, match="image build"):
        choices(EndpointSpec.from_document({"name": "abc", "model": "abc:1"}), bare)


def test_an_environment_without_an_identity_for_servers_says_where_to_name_one(new_world):
    with pytest.raises(SpecError, match=r"identities\.server"):
        endpoint(new_world(identities={}))


OVERRIDES = {
    "azure": {
        "OnlineEndpoints_CreateOrUpdate": {"properties": {"authMode": "Key", "description": "ours"}},
        "OnlineDeployments_CreateOrUpdate": {
            "properties": {
                "appInsightsEnabled": True,
                "requestSettings": {"maxConcurrentRequestsPerInstance": 10},
                "environmentVariables": {"WORKERS": "2"},
                "dataCollector": {
                    "collections": {
                        "request": {"dataCollectionMode": "Enabled", "samplingRate": 0.1},
                        "response": {"dataCollectionMode": "Enabled", "samplingRate": 0.1},
                    },
                    "rollingRate": "Hour",
                },
            }
        },
    }
}


def test_overrides_reach_the_endpoint_and_the_deployment(world):
    world.reach({1: 100}, overrides=OVERRIDES)
    properties = world.platform.endpoint.body["properties"]
    assert (properties["authMode"], properties["description"]) == ("Key", "ours")
    (made,) = world.platform.deployments.values()
    properties = made.body["properties"]
    assert properties["appInsightsEnabled"] is True
    assert properties["requestSettings"] == {"requestTimeout": "PT60S", "maxConcurrentRequestsPerInstance": 10}
    assert properties["environmentVariables"]["WORKERS"] == "2"
    assert properties["dataCollector"]["collections"]["request"]["samplingRate"] == 0.1
    assert told(made.body)["deployment"] == "main-00000001"


@pytest.mark.parametrize(
    ("operation", "patch"),
    [
        ("OnlineDeployments_CreateOrUpdate", {"properties": {"model": "mine"}}),
        ("OnlineDeployments_CreateOrUpdate", {"tags": {"mlinfra_id": "mine"}}),
        ("OnlineEndpoints_CreateOrUpdate", {"properties": {"traffic": {"blue": 100}}}),
        ("OnlineEndpoints_CreateOrUpdate", {"tags": {"team": "risk"}}),
    ],
)
def test_what_the_kit_sets_itself_is_not_overridden(world, operation, patch):
    with pytest.raises(SpecError, match="set by the kit"):
        world.reach({1: 100}, overrides={"azure": {operation: patch}})


def test_an_override_that_the_vendor_s_schema_does_not_know_names_the_nearest(world):
    patch = {"properties": {"requestSettings": {"requestTimeouts": "PT10S"}}}
    with pytest.raises(SpecError, match="requestTimeout"):
        world.reach({1: 100}, overrides={"azure": {"OnlineDeployments_CreateOrUpdate": patch}})


def test_a_wrong_override_costs_nothing(world):
    patch = {"properties": {"instanceType": 4}}
    with pytest.raises(SpecError, match="instanceType"):
        world.reach({1: 100}, overrides={"azure": {"OnlineDeployments_CreateOrUpdate": patch}})
    assert world.platform.sent == []
