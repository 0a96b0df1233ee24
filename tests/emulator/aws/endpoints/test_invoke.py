"""What SageMaker Runtime answers, and what it refuses."""

from __future__ import annotations

import base64
import json
import threading
import time

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.thorough


@pytest.fixture
def serving(hosting):
    hosting.config("first")
    hosting.endpoint("ep", "first")
    return hosting


def refusal(call, *arguments, **members):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **members)
    return caught.value.response


def test_headers_pass_in_both_directions_as_the_description_places_them(serving):
    answer = serving.runtime.invoke_endpoint(
        EndpointName="ep",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="mine",
        Body=b"1,2",
    )
    assert answer["CustomAttributes"] == "answered"
    assert answer["ContentType"] == "application/json"
    headers = json.loads(answer["Body"].read())["headers"]
    assert headers["content-type"] == "text/csv"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "mine"
    assert "authorization" not in headers


@pytest.mark.parametrize(("status", "kind"), [("400", "client"), ("503", "server")])
def test_a_models_error_is_told_with_its_status_and_body(hosting, status, kind):
    hosting.model("bad", STATUS=status)
    hosting.config("bad", {"ModelName": "bad"})
    hosting.endpoint("ep", "bad")
    told = refusal(hosting.ask, "ep")
    assert told["Error"]["Code"] == "ModelError"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert told["OriginalStatusCode"] == int(status)
    assert json.loads(told["OriginalMessage"])["model"] == "bad"
    assert told["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/ep")
    assert f"Received {kind} error ({status}) from primary" in told["Error"]["Message"]


def test_a_model_that_takes_too_long_is_given_up(hosting):
    hosting.model("slow", SECONDS="1")
    hosting.config("slow", {"ModelName": "slow"})
    hosting.endpoint("ep", "slow")
    hosting.emulator.runtime.time_limit = 0.2
    told = refusal(hosting.ask, "ep")
    assert (told["Error"]["Code"], told["OriginalStatusCode"]) == ("ModelError", 0)
    assert "timed out while waiting for a response from container primary" in told["OriginalMessage"]


def test_what_cannot_be_invoked_is_a_validation_error(serving):
    for name in ("nobody", "EP"):  # the case is preserved and must be matched
        told = refusal(serving.ask, name)
        assert told["Error"]["Code"] == "ValidationError"
        assert told["Error"]["Message"] == f"Endpoint {name} of account 111122223333 not found."
    assert refusal(serving.ask, "ep", TargetVariant="nobody")["Error"]["Code"] == "ValidationError"
    told = refusal(serving.runtime.invoke_endpoint, EndpointName="ep", Body=b"x" * (6_291_456 + 1))
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationError", 400)
    assert len(told["Error"]["Message"]) < 500
    told = refusal(serving.ask, "ep", TargetModel="one.tar.gz")
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == ("NotEmulated", 501)
    body = serving.runtime.invoke_endpoint(EndpointName="ep", Body=b"x" * 6_291_456)["Body"].read()
    assert len(json.loads(body)["body"]) == 1000


def test_who_may_not_invoke_is_refused(serving, client):
    told = refusal(client("sagemaker-runtime", "approver").invoke_endpoint, EndpointName="ep", Body=b"{}")
    assert told["Error"]["Code"] == "AccessDeniedException"
    assert "sagemaker:InvokeEndpoint" in told["Error"]["Message"]
    assert "endpoint/ep" in told["Error"]["Message"]


def test_predictions_are_no_control_plane_calls(serving):
    serving.emulator.ledger.clear()
    serving.ask("ep")
    assert serving.emulator.ledger.calls(control=True) == []
    assert [entry.operation for entry in serving.emulator.ledger.calls(control=False)] == ["InvokeEndpoint"]


class TestAsynchronous:
    @pytest.fixture
    def asynchronous(self, hosting):
        output = {
            "S3OutputPath": f"s3://{hosting.bucket}/artefacts/out",
            "S3FailurePath": f"s3://{hosting.bucket}/artefacts/bad",
        }
        hosting.config("async", {}, AsyncInferenceConfig={"OutputConfig": output})
        hosting.endpoint("ep", "async")
        return hosting

    def object(self, hosting, uri):
        key = uri.removeprefix(f"s3://{hosting.bucket}/")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                return hosting.s3.get_object(Bucket=hosting.bucket, Key=key)["Body"].read()
            except hosting.s3.exceptions.NoSuchKey:
                time.sleep(0.02)
        raise AssertionError(uri)

    def test_answers_come_to_s3(self, asynchronous):
        asynchronous.s3.put_object(Bucket=asynchronous.bucket, Key="data/in.json", Body=b'{"from": "s3"}')
        answer = asynchronous.runtime.invoke_endpoint_async(
            EndpointName="ep",
            InputLocation=f"s3://{asynchronous.bucket}/data/in.json",
            InferenceId="mine",
            InvocationTimeoutSeconds=60,
            RequestTTLSeconds=600,
        )
        assert answer["InferenceId"] == "mine"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert json.loads(self.object(asynchronous, answer["OutputLocation"]))["body"] == '{"from": "s3"}'
        inline = asynchronous.runtime.invoke_endpoint_async(EndpointName="ep", Body=b"inline", Filename="a.json")
        assert inline["OutputLocation"].endswith("/out/a.json")
        assert json.loads(self.object(asynchronous, inline["OutputLocation"]))["body"] == "inline"

    def test_failures_come_to_their_own_place(self, asynchronous):
        missing = f"s3://{asynchronous.bucket}/data/nothing"
        answer = asynchronous.runtime.invoke_endpoint_async(EndpointName="ep", InputLocation=missing)
        assert b"key does not exist" in self.object(asynchronous, answer["FailureLocation"])

    def test_requests_wait_while_there_are_no_instances(self, asynchronous):
        def instances(count):
            wish = [{"VariantName": "main", "DesiredInstanceCount": count}]
            asynchronous.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName="ep", DesiredWeightsAndCapacities=wish
            )
            return asynchronous.settled("ep")["ProductionVariants"][0]["CurrentInstanceCount"]

        assert instances(0) == 0
        answer = asynchronous.runtime.invoke_endpoint_async(EndpointName="ep", Body=b"patient")
        assert asynchronous.emulator.endpoints.get("ep").backlog.length == 1
        assert instances(1) == 1
        assert json.loads(self.object(asynchronous, answer["OutputLocation"]))["body"] == "patient"

    def test_each_kind_of_endpoint_has_its_own_call(self, asynchronous):
        assert "InvokeEndpointAsync" in refusal(asynchronous.ask, "ep")["Error"]["Message"]
        told = refusal(asynchronous.runtime.invoke_endpoint_async, EndpointName="ep")
        assert told["Error"]["Code"] == "ValidationError"


class TestServerless:
    @pytest.fixture
    def serverless(self, hosting):
        hosting.model("slow", SECONDS="0.3")
        settings = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
        variant = {
            "ServerlessConfig": settings,
            "InstanceType": None,
            "InitialInstanceCount": None,
            "ModelName": "slow",
        }
        hosting.config("serverless", variant)
        hosting.endpoint("ep", "serverless")
        return hosting

    def test_it_sleeps_when_nobody_asks_and_wakes_for_the_next_request(self, serverless):
        described = serverless.sagemaker.describe_endpoint(EndpointName="ep")["ProductionVariants"][0]
        assert described["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
        before = serverless.ask("ep")["process"]
        serverless.emulator.clock.advance(400)
        end = time.monotonic() + 10
        while serverless.emulator.host.call("ListEndpoints")["endpoints"][0]["deployments"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert serverless.ask("ep")["process"] != before

    def test_more_at_once_than_its_concurrency_are_throttled(self, serverless):
        serverless.ask("ep")
        codes = []

        def ask():
            try:
                codes.append(serverless.ask("ep")["variant"])
            except ClientError as exc:
                codes.append(exc.response["Error"]["Code"])

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {*codes} == {"main", "ThrottlingException"}
        assert codes.count("main") >= 2


def test_a_shadow_gets_copies_and_answers_nobody(hosting, client):
    hosting.model("shade", STATUS="500")
    shadow = {
        "VariantName": "shade",
        "ModelName": "shade",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 0.5,
    }
    hosting.config("shadowed", {}, ShadowProductionVariants=[shadow])
    told = hosting.endpoint("ep", "shadowed")
    assert told["ShadowProductionVariants"][0]["VariantName"] == "shade"
    assert {hosting.ask("ep")["model"] for _ in range(20)} == {"good"}
    time.sleep(0.3)
    hosting.emulator.clock.advance(120)
    now = hosting.emulator.clock.now()
    statistics = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "shade"}],
        StartTime=hosting.emulator.endpoints.get("ep").created,
        EndTime=now,
        Period=3600,
        Statistics=["Sum"],
    )
    assert sum(point["Sum"] for point in statistics["Datapoints"]) == 10


@pytest.mark.parametrize("percentage", [100, 50])
def test_captured_requests_lie_in_s3_as_sagemaker_writes_them(hosting, percentage):
    capture = {
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{hosting.bucket}/captures/ep",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    hosting.config("captured", {}, DataCaptureConfig=capture)
    assert hosting.endpoint("ep", "captured")["DataCaptureConfig"]["CaptureStatus"] == "Started"
    for number in range(10):
        hosting.ask("ep", {"number": number}, InferenceId=f"id-{number}")
    hosting.runtime.invoke_endpoint(EndpointName="ep", ContentType="text/csv", Body=b"1,2")
    hosting.emulator.clock.advance(60)
    expected = 11 * percentage // 100
    end = time.monotonic() + 10
    while len(records := captured(hosting)) < expected and time.monotonic() < end:
        time.sleep(0.05)
    assert len(records) in {expected, expected + 1}
    key, record = records[0]
    at = hosting.emulator.clock.now()
    assert key.startswith(f"captures/ep/ep/main/{at:%Y/%m/%d}/")
    assert record["captureData"]["endpointInput"]["observedContentType"] == "application/json"
    assert record["captureData"]["endpointInput"]["encoding"] == "JSON"
    assert json.loads(record["captureData"]["endpointInput"]["data"])["number"] in range(10)
    assert record["captureData"]["endpointOutput"]["mode"] == "OUTPUT"
    assert record["eventMetadata"]["inferenceId"].startswith("id-")
    assert record["eventVersion"] == "0"
    if percentage == 100:
        plain = records[-1][1]["captureData"]["endpointInput"]
        assert (plain["encoding"], base64.b64decode(plain["data"])) == ("BASE64", b"1,2")


def captured(hosting):
    listed = hosting.s3.list_objects_v2(Bucket=hosting.bucket, Prefix="captures/").get("Contents", [])
    return [
        (each["Key"], json.loads(line))
        for each in sorted(listed, key=lambda each: each["LastModified"])
        for line in hosting.s3.get_object(Bucket=hosting.bucket, Key=each["Key"])["Body"].read().splitlines()
    ]


def test_a_serverless_container_that_does_not_start_any_more_is_not_ready(hosting):
    settings = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    hosting.config("serverless", {"ServerlessConfig": settings, "InstanceType": None, "InitialInstanceCount": None})
    hosting.endpoint("ep", "serverless")
    hosting.s3.delete_object(Bucket=hosting.bucket, Key="artefacts/good.tar.gz")
    endpoint = hosting.emulator.endpoints.get("ep")
    hosting.emulator.endpoints.fleets.sleep(endpoint, endpoint.serving.variants["main"])
    told = refusal(hosting.ask, "ep")
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelNotReadyException", 429)
    hosting.upload("good")
    assert hosting.ask("ep")["model"] == "good"
