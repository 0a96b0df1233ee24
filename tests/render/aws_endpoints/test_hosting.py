"""Serverless and asynchronous endpoints, as SageMaker takes them."""

import pytest

from mlinfra.contract.adapter import load
from mlinfra.engine.plan import plan_endpoint
from mlinfra.environment import Network, Observability
from mlinfra.errors import CapabilityError
from mlinfra_aws import observe
from mlinfra_aws.render import endpoints as renderer
from mlinfra_aws.render.endpoint_choices import choices

SERVERLESS = {"serverless": {"memory": "2Gi", "concurrency": 20}}
ASYNCHRONOUS = {"asynchronous": {"concurrency": 4}}
GUARDED = {"strategy": "all_at_once", "bake": "5m", "min_requests": 0, "on_no_data": "advance"}
KEYED = {"keys": {"volume": "arn:aws:kms:eu-west-1:111122223333:key/disks"}}


def made(world, **fields):
    """The one model and configuration behind an endpoint, without what every one has."""
    world.reach({1: 100}, **fields)
    (model,), (config,) = world.platform.models.values(), world.platform.configs.values()
    variant = config["ProductionVariants"][0]
    return model["PrimaryContainer"], {**config, "ProductionVariants": [variant]}, variant


def test_a_serverless_variant_has_memory_and_concurrency_and_its_model_as_an_archive(new_world):
    world = new_world(**KEYED)
    container, config, variant = made(world, **SERVERLESS)
    assert variant == {
        "VariantName": "main-00000001",
        "ModelName": variant["ModelName"],
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 20},
        "InitialVariantWeight": 100,
    }
    assert container["ModelDataUrl"] == f"s3://kit-artefacts/models/{1:064x}.tar.gz"
    assert "ModelDataSource" not in container
    assert config.keys() == {"ProductionVariants", "at"}


@pytest.mark.parametrize(("memory", "steps"), [("512Mi", 1024), ("1Gi", 1024), ("1025Mi", 2048), ("6Gi", 6144)])
def test_memory_is_the_least_step_that_is_enough(world, memory, steps):
    _, _, variant = made(world, serverless={"memory": memory, "concurrency": 200})
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": steps, "MaxConcurrency": 200}


def test_an_asynchronous_endpoint_answers_into_the_environments_store(new_world):
    keyed = {"stores": {"artefacts": {"uri": "s3://kit-artefacts/x", "key": "data"}}, "keys": {"data": "key-1"}}
    environment = new_world().environment.model_copy(update={})
    world = new_world()
    world.environment = type(environment).model_validate({**environment.model_dump(mode="json"), **keyed})
    world.name = renderer.physical_name("credit-risk", world.environment)
    _, config, variant = made(world, **ASYNCHRONOUS)
    assert config["AsyncInferenceConfig"] == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {
            "S3OutputPath": "s3://kit-artefacts/x/asynchronous/credit-risk/answers",
            "S3FailurePath": "s3://kit-artefacts/x/asynchronous/credit-risk/failures",
            "KmsKeyId": "key-1",
        },
    }
    assert variant["InitialInstanceCount"] == 1
    assert world.look().asynchronous


def test_the_platforms_own_concurrency_is_left_to_it(world):
    _, config, _ = made(world, asynchronous={})
    assert config["AsyncInferenceConfig"].keys() == {"OutputConfig"}


@pytest.mark.parametrize("way", [SERVERLESS, ASYNCHRONOUS])
def test_a_new_version_takes_the_old_ones_place_in_one_update(world, kit, way):
    world.reach({1: 100}, **way)
    world.platform.sent.clear()
    assert isinstance(world.reach({2: 100}, **way), kit.Done)
    assert world.platform.sent.count("UpdateEndpoint") == 1
    assert "UpdateEndpointWeightsAndCapacities" not in world.platform.sent
    assert isinstance(world.reach({2: 100}, **way), kit.Done)
    assert (world.shares, world.left_over, world.platform.wrongs) == ({2: 100}, [], [])


@pytest.mark.parametrize("way", [SERVERLESS, ASYNCHRONOUS])
def test_one_that_never_becomes_ready_is_taken_back_and_cleaned_away(world, kit, way):
    world.reach({1: 100}, **way)
    world.platform.stillborn.add(f"{2:064x}")
    assert isinstance(world.reach({2: 100}, **way), kit.Failed)
    world.reach({1: 100}, **way)
    assert (world.shares, world.left_over, world.platform.wrongs) == ({1: 100}, [], [])


@pytest.mark.parametrize(
    ("before", "after"), [({}, SERVERLESS), (SERVERLESS, {}), (ASYNCHRONOUS, {}), ({}, ASYNCHRONOUS)]
)
def test_one_way_is_not_changed_into_another(world, kit, before, after):
    world.reach({1: 100}, **before)
    world.platform.sent.clear()
    failed = world.reach({2: 100}, **after)
    assert isinstance(failed, kit.Failed)
    assert "does not change" in failed.reason
    assert world.platform.sent == []


def test_everything_goes_with_the_endpoint(world):
    world.reach({1: 100}, **SERVERLESS)
    world.reach()
    assert (world.platform.endpoint, world.platform.models, world.platform.configs) == (None, {}, {})


@pytest.mark.parametrize(
    ("fields", "network", "words"),
    [
        ({"serverless": {"memory": "6145Mi", "concurrency": 1}}, {}, "less memory"),
        ({"serverless": {"memory": "1Gi", "concurrency": 201}}, {}, "fewer requests"),
        ({**SERVERLESS, "capture": {}}, {}, "captures nothing"),
        (SERVERLESS, {"isolated": True}, "network isolation"),
        (SERVERLESS, {"subnets": ("subnet-1",), "security_groups": ("sg-1",)}, "VPC"),
        ({**ASYNCHRONOUS, "capture": {}}, {}, "data capture"),
        ({**ASYNCHRONOUS, "scale": {"min": 1, "max": 2}}, {}, "backlog"),
    ],
)
def test_what_they_go_without_is_named(world, fields, network, words):
    environment = world.environment.model_copy(update={"network": Network(**network)})
    with pytest.raises(CapabilityError, match=words):
        choices(world.desired({1: 100}, **fields).spec, environment)


def test_the_call_that_is_shown_is_the_one_that_works(world):
    world.reach({1: 100}, **ASYNCHRONOUS)
    endpoint = world.look()
    told = renderer.snippets(endpoint, {"instances": []}, world.environment)
    assert endpoint.url.endswith(f"/endpoints/{world.name}/async-invocations")
    assert f"curl -s {endpoint.url}" in told.curl
    assert "-i -H 'X-Amzn-SageMaker-Content-Type: application/json'" in told.curl
    assert "runtime.invoke_endpoint_async(" in told.python
    assert "print(reply['OutputLocation'])" in told.python


def test_the_plan_tells_memory_and_concurrency(world):
    machine, _ = choices(world.desired({1: 100}, **SERVERLESS).spec, world.environment)
    assert (machine.value, machine.reason) == ("serverless", "2048 MB a server, 20 requests at once")


def test_a_question_is_put_by_its_address_and_answered_under_its_name(world):
    world.reach({1: 100}, **ASYNCHRONOUS)
    endpoint, source = world.look(), "s3://kit-artefacts/asynchronous/credit-risk/questions/0123456789abcdef01234567"
    request = renderer.invoke_later(endpoint, source, "application/json", world.environment, time_limit=30.5)
    assert request.body == {
        "EndpointName": world.name,
        "ContentType": "application/json",
        "InputLocation": source,
        "Filename": "0123456789abcdef01234567.out",
        "InvocationTimeoutSeconds": 30,
        "RequestTTLSeconds": 60,
    }
    long = renderer.invoke_later(endpoint, source, "application/json", world.environment, time_limit=86_400.0)
    assert (long.body["InvocationTimeoutSeconds"], long.body["RequestTTLSeconds"]) == (3600, 21_600)
    deferred = observe.deferred({"OutputLocation": "s3://a/b", "FailureLocation": None}, world.environment)
    assert (deferred.answer, deferred.failure) == ("s3://a/b", "")


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        ('{"error": {"rows": [{"row": 0}]}}', 400, '{"error": {"rows": [{"row": 0}]}}'),
        ('{"error": {"message": "boom"}}', 500, '{"error": {"message": "boom"}}'),
        ('Received client error (400) from primary with message "{"error": {}}". See https://x', 400, '{"error": {}}'),
        ('Received server error (503) from primary with message "busy". See https://x', 503, "busy"),
        ("Request expired", 500, "Request expired"),
    ],
)
def test_a_failures_text_is_the_servers_answer(world, text, status, body):
    told = observe.failure(text.encode(), world.environment)
    assert (told.status, told.body.decode()) == (status, body)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (SERVERLESS, "nobody (the new version takes the old one's place whole"),
        ({"rollout": GUARDED}, "platform alarms"),
        ({"rollout": {**GUARDED, "rollback_on": []}}, "this process (rollback_on holds no rule, and the environment"),
        ({"rollout": {**GUARDED, "rollback_on": [{"metric": "p99", "above": "500ms"}]}}, "platform alarms"),
    ],
)
def test_the_plan_tells_who_watches(world, fields, words):
    observability = Observability(alarms={"p99 above 500ms": "credit-slow"})
    environment = world.environment.model_copy(update={"stage": "prod", "observability": observability})
    plan = plan_endpoint(world.desired({1: 100}, **fields).spec, environment, load("aws"))
    assert plan.notes[0].startswith(f"rollback watched by: {words}")
