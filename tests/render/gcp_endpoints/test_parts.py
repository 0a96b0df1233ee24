"""What is put into endpoints, models and deployed models, and what Vertex AI's description of them allows."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.errors import CapabilityError, SpecError
from mlinfra.spec import EndpointSpec
from mlinfra_gcp.render import endpoint_parts as parts
from mlinfra_gcp.render.endpoint_choices import choices
from mlinfra_gcp.render.endpoint_names import (
    deployed_id,
    deployment_of,
    endpoint_id,
    model_id,
    physical_name,
    physical_of,
    served,
    serves_text,
    spec_name,
    title,
)

PREPARED = SimpleNamespace(id="mlinfra-credit-risk-1", made="2030-01-01T00:00:00Z")


def model(world, **fields):
    deployment = fields.pop("deployment", None) or world.deployment(1)
    desired = world.desired(deployments=(deployment,), **fields)
    return parts.model(desired, deployment, world.environment)


def deployed(world, **fields):
    deployment = fields.pop("deployment", None) or world.deployment(1)
    desired = world.desired(deployments=(deployment,), **fields)
    return parts.deploy(desired, deployment, world.environment, prepared=PREPARED, attempt=1, split={})["deployedModel"]


def shell(world, **fields):
    return parts.endpoint(world.desired({1: 100}, **fields), world.environment)["endpoint"]


def test_a_model_is_the_files_below_a_prefix_in_the_environment_s_image(world):
    body = model(world)["model"]
    assert body["artifactUri"] == f"gs://kit-artefacts/models/{1:064x}"
    container = body["containerSpec"]
    assert container["imageUri"] == world.environment.images["serving"].uri
    assert (container["predictRoute"], container["healthRoute"]) == ("/invocations", "/ping")
    assert container["ports"] == [{"containerPort": 8080}]
    assert "command" not in container


def told(body):
    variables = {each["name"]: each["value"] for each in body["model"]["containerSpec"]["env"]}
    return json.loads("".join(variables[f"MLINFRA_MANIFEST_{number}"] for number in range(len(variables))))["serving"]


CAPTURE = {"capture": "gs://kit-captures/captures/credit-risk", "capture_sample": 0.1, "capture_exclude": ["income"]}


def test_the_server_is_told_who_it_is_and_where_to_put_its_captures(world):
    server = {"deployment": "main-00000001", "digest": "sha256:1", **CAPTURE}
    assert told(model(world, deployment=world.deployment(1, server=server))) == server


def test_captures_are_encrypted_with_their_store_s_key(new_world):
    stores = {"artefacts": {"uri": "gs://kit-artefacts"}, "captures": {"uri": "gs://kit-captures", "key": "captures"}}
    world = new_world(stores=stores, keys={"captures": "projects/p/locations/l/keyRings/r/cryptoKeys/k"})
    with_capture = told(model(world, deployment=world.deployment(1, server=CAPTURE)))
    assert with_capture["capture_key"].endswith("/cryptoKeys/k")
    assert "capture_key" not in told(model(world))


def test_a_deployment_runs_as_the_server_s_account_on_the_cheapest_machine(world):
    body = deployed(world, resources={"cpu": 4})
    assert body["serviceAccount"] == world.environment.identities["server"]
    resources = body["dedicatedResources"]
    assert resources["machineSpec"]["machineType"].endswith("-4")
    assert (resources["minReplicaCount"], resources["maxReplicaCount"]) == (1, 1)


def test_an_accelerator_is_asked_for_as_the_vendor_calls_it(world):
    spec = deployed(world, resources={"accelerator": {"kind": "l4"}})["dedicatedResources"]["machineSpec"]
    assert spec["machineType"].startswith("g2-")
    assert (spec["acceleratorType"], spec["acceleratorCount"]) == ("NVIDIA_L4", 1)


def test_each_variant_gets_a_machine_for_its_own_resources(world):
    variants = {
        "main": {"model": "abc:1", "traffic": "50%"},
        "large": {"model": "abc:2", "traffic": "50%", "resources": {"memory": "100Gi"}},
    }
    one, two = world.deployment(1, 50), world.deployment(2, 50, name="large-00000002", variant="large")
    spec = EndpointSpec.from_document({"name": "credit-risk", "deployments": variants})
    desired = replace(world.desired(deployments=(one, two)), spec=spec)
    small, large = (parts.machines(desired, each, world.environment)[0]["machineSpec"] for each in (one, two))
    assert small != large


def test_an_endpoint_has_an_address_of_its_own_unless_the_environment_says_otherwise(world, new_world):
    assert shell(world)["dedicatedEndpointEnabled"] is True
    assert "dedicatedEndpointEnabled" not in shell(new_world(dedicated_endpoints=False))


def test_a_private_endpoint_answers_inside_the_network_alone(new_world):
    network = {"id": "projects/hub-project/global/networks/hub", "private_endpoints": True, "isolated": True}
    body = shell(new_world(network=network))
    assert body["privateServiceConnectConfig"] == {
        "enablePrivateServiceConnect": True,
        "projectAllowlist": ["hub-project", "kit-project"],
    }
    assert body["privateModelServerEnabled"] is True
    assert "dedicatedEndpointEnabled" not in body


def test_keys_of_the_environment_encrypt_endpoint_and_model(new_world):
    key = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"
    stores = {"artefacts": {"uri": "gs://kit-artefacts", "key": "store"}}
    world = new_world(stores=stores, keys={"store": key})
    assert shell(world)["encryptionSpec"] == {"kmsKeyName": key}
    assert model(world)["model"]["encryptionSpec"] == {"kmsKeyName": key}
    own = new_world(stores=stores, keys={"store": key, "endpoint": f"{key}2"})
    assert shell(own)["encryptionSpec"] == {"kmsKeyName": f"{key}2"}


def test_everything_bears_the_kit_s_labels_and_the_environment_s(world):
    assert shell(world)["labels"] == {
        "costcentre": "42",
        "mlinfra_id": "0" * 40,
        "mlinfra_endpoint": "credit-risk",
        "mlinfra_environment": world.environment.suffix,
    }
    labels = model(world)["model"]["labels"]
    assert (labels["mlinfra_id"], labels["mlinfra_behind"]) == (f"{1:040x}", world.name)
    assert deployed(world)["displayName"] == f"main-00000001 {1:040x} 1"


def test_a_model_s_id_follows_from_its_content_and_from_nothing_else(world, new_world):
    one, again = model(world), model(new_world())
    assert one["modelId"] == again["modelId"]
    other = model(world, deployment=world.deployment(1, artefact=Artefact("gs://kit-artefacts/models/other")))
    assert other["modelId"] != one["modelId"]
    relabelled = world.deployment(1, tags={"mlinfra_id": f"{9:040x}", "team": "risk"})
    assert model(world, deployment=relabelled)["modelId"] == one["modelId"]


def test_ids_keep_the_vendor_s_limits_and_lead_back(world):
    for name in ("abc", "a" * 24, "credit-risk"):
        physical = physical_name(name, world.environment)
        assert len(model_id(physical, {"x": 1})) <= 63
        assert (spec_name(physical, world.environment), physical_of(physical, world.environment)) == (name, physical)
    longest = world.deployment(1, name=f"{'a' * 24}-12345678")
    own = title(longest, 10**6)
    assert len(own) <= 128
    assert deployment_of(own) == longest.name
    assert deployment_of("somebody's own") == "somebody's own"
    assert len({deployed_id(own, str(number)) for number in range(100)}) == 100
    assert all(len(deployed_id(own, str(number))) == 10 for number in range(100))


def test_what_a_model_serves_is_read_back(world):
    deployment = world.deployment(3)
    assert served(serves_text(deployment)) == (deployment.name, "credit-risk", "3", deployment.digest)
    for text in ("", "a model of mine", "one two three", "one two:3"):
        assert served(text).deployment == ""


def test_a_stack_s_endpoint_is_called_by_its_own_id(new_world):
    world = new_world(native={"shells": {"credit-risk": 1234567890}})
    assert endpoint_id(world.name, world.environment) == "1234567890"
    assert physical_of("1234567890", world.environment) == world.name
    assert endpoint_id(physical_name("another", world.environment), world.environment).startswith("another-")


def test_the_machine_is_chosen_and_said_why(world):
    spec = EndpointSpec.from_document({"name": "abc", "model": "abc:1", "resources": {"cpu": 4}})
    machine, image = choices(spec, world.environment)
    assert "4 vCPU" in machine.reason
    assert image.value == world.environment.images["serving"].uri


def test_an_environment_without_a_serving_image_says_how_to_make_one(world):
    bare = world.environment.model_copy(update={"images": {}})
    with pytest.raises(CapabilityError, match="image build"):
        choices(EndpointSpec.from_document({"name": "abc", "model": "abc:1"}), bare)


def test_an_environment_without_an_account_for_servers_says_where_to_name_one(world, new_world):
    with pytest.raises(SpecError, match=r"identities\.server"):
        deployed(new_world(identities={}))


OVERRIDES = {
    "gcp": {
        "CreateEndpoint": {
            "endpoint": {
                "predictRequestResponseLoggingConfig": {
                    "enabled": True,
                    "samplingRate": 0.1,
                    "bigqueryDestination": {"outputUri": "bq://kit-project"},
                }
            }
        },
        "UploadModel": {"model": {"containerSpec": {"sharedMemorySizeMb": 64}}},
        "DeployModel": {
            "deployedModel": {
                "dedicatedResources": {"spot": True},
                "explanationSpec": {"parameters": {"sampledShapleyAttribution": {"pathCount": 10}}},
            }
        },
    }
}


def test_overrides_reach_the_endpoint_the_model_and_the_deployed_model(world):
    world.reach({1: 100}, overrides=OVERRIDES)
    body = world.platform.endpoint.body
    assert body["predictRequestResponseLoggingConfig"]["samplingRate"] == 0.1
    (uploaded,) = world.platform.models.values()
    assert uploaded["containerSpec"]["sharedMemorySizeMb"] == 64
    assert uploaded["containerSpec"]["imageUri"] == world.environment.images["serving"].uri
    (own,) = world.platform.endpoint.deployed
    assert own["dedicatedResources"]["spot"] is True
    assert own["explanationSpec"]["parameters"]["sampledShapleyAttribution"]["pathCount"] == 10


@pytest.mark.parametrize(
    ("operation", "patch"),
    [
        ("DeployModel", {"deployedModel": {"displayName": "mine"}}),
        ("DeployModel", {"trafficSplit": {"0": 100}}),
        ("UploadModel", {"modelId": "mine"}),
        ("CreateEndpoint", {"endpoint": {"labels": {"mlinfra_id": "mine"}}}),
    ],
)
def test_what_the_kit_sets_itself_is_not_overridden(world, operation, patch):
    with pytest.raises(SpecError, match="set by the kit"):
        world.reach({1: 100}, overrides={"gcp": {operation: patch}})


def test_an_override_that_the_vendor_s_schema_does_not_know_names_the_nearest(world):
    patch = {"gcp": {"DeployModel": {"deployedModel": {"dedicatedResources": {"minReplicaCounts": 2}}}}}
    with pytest.raises(SpecError, match="minReplicaCount"):
        world.reach({1: 100}, overrides=patch)


def test_a_wrong_override_costs_nothing(world):
    patch = {"gcp": {"DeployModel": {"deployedModel": {"automaticResources": {"minReplicaCount": 1}}}}}
    with pytest.raises(SpecError, match="exclude each other"):
        world.reach({1: 100}, overrides=patch)
    assert world.platform.sent == []
