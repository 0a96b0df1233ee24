"""What is put into models and configurations, and what SageMaker's description of them allows."""

import json
from dataclasses import replace

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.environment import Network, StoreLocation
from mlinfra.errors import CapabilityError, SpecError
from mlinfra.spec import EndpointSpec
from mlinfra_aws.render.endpoint_choices import choices
from mlinfra_aws.render.endpoint_names import content_name, mark, owner_of, physical_name, spec_name
from mlinfra_aws.render.endpoint_parts import Newcomer, parts


def made(world, **fields):
    deployment = fields.pop("deployment", None) or world.deployment(1)
    desired = world.desired(deployments=(deployment,), **fields)
    return parts(desired, [Newcomer(deployment, deployment.name, 100)], (), world.environment)


def model(world, **fields):
    (body,) = made(world, **fields).models
    return body


def tags(body):
    return {each["Key"]: each["Value"] for each in body["Tags"]}


def test_a_model_is_the_files_below_a_prefix_in_the_environment_s_image(world):
    body = model(world)
    source = body["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    assert source == {
        "S3Uri": f"s3://kit-artefacts/models/{1:064x}/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    assert body["PrimaryContainer"]["Image"] == world.environment.images["serving"].uri
    assert body["ExecutionRoleArn"] == world.environment.identities["server"]
    assert body["EnableNetworkIsolation"] is False
    assert "VpcConfig" not in body


def test_the_server_is_told_who_it_is_and_nothing_of_capture(world):
    server = {"deployment": "main-00000001", "digest": "sha256:1", "capture": "s3://x", "capture_sample": 1.0}
    variables = model(world, deployment=world.deployment(1, server=server))["PrimaryContainer"]["Environment"]
    told = json.loads("".join(variables[f"MLINFRA_MANIFEST_{number}"] for number in range(len(variables))))
    assert told == {"serving": {"deployment": "main-00000001", "digest": "sha256:1"}}


def test_an_isolated_network_reaches_the_model(new_world):
    network = {"subnets": ["subnet-1"], "security_groups": ["sg-1"], "isolated": True}
    body = model(new_world(network=network))
    assert body["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert body["EnableNetworkIsolation"] is True


@pytest.mark.parametrize(("machine", "key"), [("ml.m5.large", "arn:key"), ("ml.g5.xlarge", None)])
def test_volumes_are_encrypted_where_the_machine_has_no_disks_of_its_own(new_world, machine, key):
    world = new_world(keys={"volume": "arn:key"})
    assert made(world, machine={"aws": machine}).config.get("KmsKeyId") == key


def test_everything_bears_the_kit_s_tags_and_the_environment_s(world):
    whole = made(world)
    assert tags(whole.models[0])["mlinfra_id"] == f"{1:040x}"
    assert tags(whole.config) == {
        "CostCentre": "42",
        "mlinfra_id": "0" * 40,
        "mlinfra_endpoint": "credit-risk",
        "mlinfra_variant_main-00000001": f"main-00000001 credit-risk:1 sha256:{1:064x}",
    }


def test_names_follow_from_content_and_from_nothing_else(world, new_world):
    one, again = made(world), made(new_world())
    assert (one.config_name, one.models[0]["ModelName"]) == (again.config_name, again.models[0]["ModelName"])
    other = made(world, deployment=world.deployment(1, artefact=Artefact("s3://kit-artefacts/models/other")))
    assert other.models[0]["ModelName"] != one.models[0]["ModelName"]
    assert other.config_name != one.config_name
    tagged = made(world, tags={"team": "risk"})
    assert tagged.config_name == one.config_name
    assert len(one.config_name) <= 63


def test_names_lead_back_to_the_endpoint_and_to_no_other(world):
    for name in ("abc", "a" * 24, "credit-risk"):
        physical = physical_name(name, world.environment)
        made_for = content_name(physical, {"x": 1})
        assert len(made_for) <= 63
        assert (owner_of(made_for), spec_name(physical, world.environment)) == (physical, name)
        assert mark(physical) in made_for
        assert mark(physical) not in content_name(physical_name(f"my-{name}"[:24].rstrip("-"), world.environment), {})


def test_the_cheapest_machine_is_chosen_and_said_why(world):
    machine, image = choices(
        EndpointSpec.from_document({"name": "abc", "model": "abc:1", "resources": {"cpu": 4}}), world.environment
    )
    assert machine.value.startswith("ml.")
    assert "4 vCPU" in machine.reason
    assert image.value == world.environment.images["serving"].uri


def test_each_variant_gets_a_machine_for_its_own_resources(world):
    variants = {
        "main": {"model": "abc:1", "traffic": "50%"},
        "large": {"model": "abc:2", "traffic": "50%", "resources": {"memory": "100Gi"}},
    }
    one, two = world.deployment(1, 50), world.deployment(2, 50, name="large-00000002", variant="large")
    spec = EndpointSpec.from_document({"name": "credit-risk", "deployments": variants})
    desired = replace(world.desired(deployments=(one, two)), spec=spec)
    whole = parts(desired, [Newcomer(each, each.name) for each in (one, two)], (), world.environment)
    small, large = (each["InstanceType"] for each in whole.config["ProductionVariants"])
    assert small != large


def test_an_environment_without_a_serving_image_says_how_to_make_one(world):
    bare = world.environment.model_copy(update={"images": {}})
    with pytest.raises(CapabilityError, match="image build"):
        choices(EndpointSpec.from_document({"name": "abc", "model": "abc:1"}), bare)


def test_a_sample_that_is_no_whole_percent_is_refused_before_anything_is_sent(world):
    spec = EndpointSpec.from_document({"name": "abc", "model": "abc:1", "capture": {"sample": "0.5%"}})
    with pytest.raises(CapabilityError, match=r"0\.5%"):
        choices(spec, world.environment)


CAPTURE = {"capture": "s3://kit-artefacts/captures/credit-risk", "capture_sample": 0.1, "capture_exclude": []}


def captured(world, version):
    return world.deployment(version, server={**world.deployment(version).server, **CAPTURE})


def test_sagemaker_captures_what_the_spec_asks_for(world):
    config = made(world, deployment=captured(world, 1), capture={"sample": "10%"}).config["DataCaptureConfig"]
    assert config["InitialSamplingPercentage"] == 10
    assert config["DestinationS3Uri"] == CAPTURE["capture"]
    assert [each["CaptureMode"] for each in config["CaptureOptions"]] == ["Input", "Output"]


def test_nothing_is_captured_unasked(world):
    assert "DataCaptureConfig" not in made(world).config


def test_a_deployment_under_another_s_name_stands_in_the_address_of_its_records(world, kit):
    deployments = [captured(world, version) for version in (1, 2)]
    fields = {"capture": {"sample": "10%"}}
    world.engine().reach(world.desired(deployments=deployments[:1], **fields))
    guard = kit.Guard((100,), 0.0, ("errors-high",))
    world.engine().reach(world.desired(deployments=deployments[1:], guard=guard, **fields))
    assert world.look().native["capture"]["DestinationS3Uri"].endswith("/main-00000001=main-00000002")


OVERRIDES = {
    "aws": {
        "CreateEndpointConfig": {
            "ProductionVariants": {"0": {"RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}}},
            "MetricsConfig": {"EnableEnhancedMetrics": True},
        },
        "CreateModel": {"PrimaryContainer": {"Environment": {"OMP_NUM_THREADS": "2"}}},
    }
}


def test_overrides_reach_the_new_variant_the_configuration_and_the_model(world):
    world.reach({1: 100})
    world.reach({2: 0, 1: 100}, overrides=OVERRIDES)
    variants = {each.version: each.native for each in world.look().deployments}
    assert variants["2"]["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    assert "RoutingConfig" not in variants["1"]
    config = world.platform.configs[world.platform.endpoint.config]
    assert config["MetricsConfig"] == {"EnableEnhancedMetrics": True}
    assert any(
        each["PrimaryContainer"]["Environment"].get("OMP_NUM_THREADS") for each in world.platform.models.values()
    )


def test_what_the_kit_sets_itself_is_not_overridden(world):
    wish = {"aws": {"CreateEndpointConfig": {"ProductionVariants": {"0": {"VariantName": "mine"}}}}}
    with pytest.raises(SpecError, match="set by the kit"):
        world.reach({1: 100}, overrides=wish)
    assert world.platform.sent == []


def recorded(world, **capture):
    """The server's settings and DataCaptureConfig of an endpoint that is captured."""
    server = {"capture": "s3://kit-artefacts/captures/credit-risk", "capture_sample": 0.25, "capture_exclude": ["x"]}
    deployment = world.deployment(1)
    deployment = replace(deployment, server={**deployment.server, **server})
    world.reach(deployments=(deployment,), capture=capture)
    (model,), (config,) = world.platform.models.values(), world.platform.configs.values()
    manifest = json.loads(model["PrimaryContainer"]["Environment"]["MLINFRA_MANIFEST_0"])
    return manifest["serving"], config.get("DataCaptureConfig")


def test_what_excludes_columns_is_captured_by_the_server_itself(world):
    settings, native = recorded(world, sample="25%", exclude=["x"])
    assert native is None
    assert settings["capture"] == "s3://kit-artefacts/captures/credit-risk"
    assert (settings["capture_sample"], settings["capture_exclude"]) == (0.25, ["x"])
    assert "capture_key" not in settings


def test_what_excludes_nothing_is_captured_by_sagemaker(world):
    settings, native = recorded(world, sample="25%")
    assert native["InitialSamplingPercentage"] == 25
    assert not any(name.startswith("capture") for name in settings)


def test_the_servers_records_are_encrypted_with_the_stores_key(new_world):
    world = new_world(keys={"main": "key-1"})
    store = {"captures": StoreLocation(uri="s3://kit-captures", key="main")}
    world.environment = world.environment.model_copy(update={"stores": {**world.environment.stores, **store}})
    settings, _ = recorded(world, exclude=["x"])
    assert settings["capture_key"] == "key-1"


def test_columns_cannot_be_masked_where_servers_have_no_network(world):
    environment = world.environment.model_copy(update={"network": Network(isolated=True)})
    with pytest.raises(CapabilityError, match=r"capture\.exclude") as refusal:
        choices(world.desired({1: 100}, capture={"exclude": ["x"]}).spec, environment)
    assert refusal.value.given == "network.isolated of environment aws-test"
    assert choices(world.desired({1: 100}, capture={}).spec, environment)
