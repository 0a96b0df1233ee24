"""Endpoints from their creation to their end, through boto3 and its own waiters."""

from __future__ import annotations

import os
import signal
import time

import pytest
from botocore.exceptions import ClientError, WaiterError

from mlinfra.emulator.aws.endpoints import endpoints
from mlinfra.emulator.policy import Statement
from mlinfra.host import processes

pytestmark = pytest.mark.thorough
QUICK = {"Delay": 0, "MaxAttempts": 10_000}


def test_boto3_waiters_see_an_endpoint_come_answer_and_go(hosting):
    hosting.config("first")
    created = hosting.sagemaker.create_endpoint(
        EndpointName="Credit", EndpointConfigName="first", Tags=[{"Key": "team", "Value": "risk"}]
    )
    assert hosting.sagemaker.describe_endpoint(EndpointName="Credit")["EndpointStatus"] == "Creating"
    hosting.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="Credit", WaiterConfig=QUICK)

    told = hosting.ask("Credit", {"age": 30})
    assert (told["variant"], told["model"], told["arguments"]) == ("main", "good", ["serve"])
    assert told["body"] == '{"age": 30}'
    tags = hosting.sagemaker.list_tags(ResourceArn=created["EndpointArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "risk"}]

    hosting.sagemaker.delete_endpoint(EndpointName="credit")
    hosting.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="Credit", WaiterConfig=QUICK)
    assert hosting.emulator.host.call("ListEndpoints")["endpoints"] == []
    assert list((hosting.emulator.folder / "endpoints").iterdir()) == []


def test_what_is_described_is_what_serves(hosting):
    hosting.config("two", {"InitialVariantWeight": 3.0}, {"VariantName": "other", "InitialInstanceCount": 2})
    main, other = hosting.endpoint("ep", "two")["ProductionVariants"]
    assert (main["CurrentWeight"], main["DesiredWeight"], main["CurrentInstanceCount"]) == (3.0, 3.0, 1)
    assert (other["CurrentWeight"], other["DesiredInstanceCount"], other["CurrentInstanceCount"]) == (1.0, 2, 2)
    assert main["DeployedImages"][0]["SpecifiedImage"].endswith("mlinfra/obedient:1")

    asked = [hosting.ask("ep") for _ in range(40)]
    assert sum(told["variant"] == "main" for told in asked) == 30
    assert len({told["process"] for told in asked}) >= 2
    assert {hosting.ask("ep", TargetVariant="other")["variant"] for _ in range(5)} == {"other"}


def test_a_container_that_never_answers_its_health_check_fails_the_endpoint_in_the_services_words(hosting):
    hosting.model("sick", PING="503")
    hosting.config("sick", {"ModelName": "sick", "ContainerStartupHealthCheckTimeoutInSeconds": 60})
    hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="sick")
    hosting.advancing(61)
    told = hosting.settled("ep", "Failed")
    assert told["FailureReason"] == (
        "The primary container for production variant main did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    with pytest.raises(WaiterError, match="Failed"):
        hosting.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="ep", WaiterConfig=QUICK)
    with pytest.raises(ClientError, match="Endpoint ep of account 111122223333 not found"):
        hosting.ask("ep")
    with pytest.raises(ClientError, match="Cannot update failed endpoint"):
        hosting.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="sick")
    hosting.sagemaker.delete_endpoint(EndpointName="ep")
    hosting.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="ep", WaiterConfig=QUICK)


def test_a_container_that_ends_leaves_its_words_in_the_log_of_its_instance(hosting, emulator, client, monkeypatch):
    monkeypatch.setattr(emulator.endpoints._attendant, "round", lambda: None)  # the last chance is to be taken
    hosting.model("dying", NAME="dying", LIFE="0")
    hosting.config("dying", {"ModelName": "dying"})
    hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="dying")
    hosting.settled("ep", "Failed")
    logs = client("logs")
    streams = logs.describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/ep")["logStreams"]
    assert [name["logStreamName"].partition("/i-")[0] for name in streams] == ["main"]
    events = logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/ep")["events"]
    assert events[0]["message"] == "a server of dying begins"


def test_model_data_that_is_gone_by_then_fails_the_endpoint(hosting):
    hosting.config("first")
    hosting.s3.delete_object(Bucket=hosting.bucket, Key="artefacts/good.tar.gz")
    hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="first")
    assert "Failed to download model data" in hosting.settled("ep", "Failed")["FailureReason"]


def test_model_data_that_is_no_archive_fails_the_endpoint(hosting):
    hosting.config("first")
    hosting.s3.put_object(Bucket=hosting.bucket, Key="artefacts/good.tar.gz", Body=b"no archive")
    hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="first")
    assert "Failed to extract model data archive" in hosting.settled("ep", "Failed")["FailureReason"]


def test_an_uncompressed_prefix_lies_in_the_models_folder(hosting):
    for name in ("name.txt", "deep/er.txt"):
        hosting.s3.put_object(Bucket=hosting.bucket, Key=f"artefacts/plain/{name}", Body=b"plain")
    hosting.sagemaker.create_model(
        ModelName="plain",
        ExecutionRoleArn=hosting.environment.identities["server"],
        PrimaryContainer={
            "Image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mlinfra/obedient:1",
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": f"s3://{hosting.bucket}/artefacts/plain/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            },
        },
    )
    hosting.config("plain", {"ModelName": "plain"})
    hosting.endpoint("ep", "plain")
    assert hosting.ask("ep")["files"] == ["deep/er.txt", "name.txt"]


def test_neither_a_deleted_configuration_nor_a_deleted_model_touches_what_serves(hosting):
    hosting.config("first")
    hosting.endpoint("ep", "first")
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName="first")
    hosting.sagemaker.delete_model(ModelName="good")
    wish = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName="ep", DesiredWeightsAndCapacities=wish)
    told = hosting.settled("ep")
    assert (told["EndpointConfigName"], told["ProductionVariants"][0]["CurrentInstanceCount"]) == ("first", 2)
    assert hosting.ask("ep")["model"] == "good"


@pytest.mark.parametrize("victim", ["server", "gateway"])
def test_what_dies_is_started_again(hosting, victim):
    hosting.config("first")
    hosting.endpoint("ep", "first")
    before = hosting.ask("ep")["process"]
    gateway = hosting.emulator.host.call("ListEndpoints")["endpoints"][0]["gateway"]["pid"]
    os.kill(before if victim == "server" else gateway, signal.SIGKILL)
    codes, end = set(), time.monotonic() + 10
    while time.monotonic() < end:
        try:
            after = hosting.ask("ep")["process"]
            break
        except ClientError as exc:
            codes.add(exc.response["Error"]["Code"])
            time.sleep(0.02)
    assert after != before
    assert codes <= {"ServiceUnavailable"}


@pytest.mark.parametrize("environment_of_the_server", [{}, {"STUBBORN": "1"}], ids=["obedient", "stubborn"])
def test_stopping_the_emulator_leaves_no_process(hosting, monkeypatch, environment_of_the_server):
    monkeypatch.setattr(endpoints, "_STOPPING", 0.5 if environment_of_the_server else 10.0)
    hosting.model("one", **environment_of_the_server)
    hosting.config("first", {"InitialInstanceCount": 2, "ModelName": "one"})
    hosting.endpoint("ep", "first")
    pids = {hosting.ask("ep")["process"] for _ in range(10)}
    gateway = hosting.emulator.host.call("ListEndpoints")["endpoints"][0]["gateway"]["pid"]
    hosting.emulator.stop()
    assert [pid for pid in {*pids, gateway} if processes.mark(pid)] == []


def test_no_capacity_fails_a_new_endpoint_and_leaves_an_old_one_as_it_was(hosting):
    rule = {"operation": "Endpoint:Provisioning", "do": "fail", "code": "capacity", "match": {"EndpointName": "new"}}
    hosting.config("first")
    hosting.emulator.faults.script([rule])
    hosting.sagemaker.create_endpoint(EndpointName="new", EndpointConfigName="first")
    assert "InsufficientInstanceCapacity" in hosting.settled("new", "Failed")["FailureReason"]

    hosting.endpoint("old", "first")
    hosting.emulator.faults.script([{**rule, "match": {"EndpointName": "old"}}])
    hosting.sagemaker.update_endpoint(EndpointName="old", EndpointConfigName="first")
    assert "InsufficientInstanceCapacity" in hosting.settled("old")["FailureReason"]
    assert hosting.ask("old")["model"] == "good"


def test_a_container_calls_the_emulator_in_its_roles_name_and_knows_no_other_keys(hosting, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the user")
    hosting.config("first")
    hosting.endpoint("ep", "first")
    variables = hosting.ask("ep")["variables"]
    assert variables["AWS_ENDPOINT_URL"] == hosting.emulator.url
    assert "of the user" not in variables.values()
    role = hosting.emulator.principals.of(variables["AWS_ACCESS_KEY_ID"], hosting.emulator.clock.now()).arn
    assert role == hosting.environment.identities["server"]


def test_both_the_endpoint_and_its_configuration_must_be_allowed(hosting, emulator):
    hosting.config("first")
    deployer = hosting.environment.identities["deployer"]
    deny = Statement("deny", ("sagemaker:CreateEndpoint",), ("arn:aws:sagemaker:*:*:endpoint-config/first",))
    emulator.policy.put(deployer, "no configuration", [deny])
    with pytest.raises(ClientError, match="endpoint-config/first") as caught:
        hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="first")
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
