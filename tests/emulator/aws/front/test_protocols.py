"""What is on the wire: services told apart, errors in each protocol's form, callers by their keys."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "s3": ("list_buckets", {}),
    "iam": ("list_roles", {}),
    "logs": ("describe_log_groups", {}),
    "application-autoscaling": ("describe_scalable_targets", {"ServiceNamespace": "sagemaker"}),
    "kms": ("list_keys", {}),
    "ecr": ("describe_repositories", {}),
    "scheduler": ("list_schedules", {}),
    "events": ("list_rules", {}),
    "secretsmanager": ("list_secrets", {}),
    "cloudwatch": ("list_metrics", {}),
    "sagemaker": ("list_models", {}),
}


def _stranger(emulator: AwsEmulator, service: str, **credentials: str) -> Any:
    keys = {"aws_access_key_id": "AKIAQQQQQQQQQQQQQQQQ", "aws_secret_access_key": "x", **credentials}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=emulator.url, region_name="eu-west-1", config=config, **keys)


def _error(act: Callable[..., Any], **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        act(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("s3", "InvalidAccessKeyId", 403),
        ("iam", "InvalidClientTokenId", 403),
        ("logs", "UnrecognizedClientException", 400),
        ("application-autoscaling", "UnrecognizedClientException", 400),
        ("scheduler", "UnrecognizedClientException", 403),
        ("cloudwatch", "UnrecognizedClientException", 400),
        ("sagemaker", "UnrecognizedClientException", 400),
    ],
)
def test_an_unknown_key_is_refused_as_each_service_does(
    emulator: AwsEmulator, service: str, code: str, status: int
) -> None:
    operation, arguments = _CALLS[service]
    assert _error(getattr(_stranger(emulator, service), operation), **arguments) == (code, status)


@pytest.mark.parametrize("service", sorted(_CALLS))
def test_a_missing_permission_is_worded_with_caller_action_and_resource(
    client: Callable[..., Any], emulator: AwsEmulator, environment: AwsEnvironment, service: str
) -> None:
    operation, arguments = _CALLS[service]
    with emulator.policy.without(environment.identities["deployer"], "*"), pytest.raises(ClientError) as caught:
        getattr(client(service), operation)(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] in {"AccessDenied", "AccessDeniedException"}
    who = "arn:aws:sts::111122223333:assumed-role/mlinfra-deployer/emulated"
    assert error["Message"].startswith(f"User: {who} is not authorized to perform: {service}:")
    assert " on resource: " in error["Message"]


def test_throttling_is_worded_as_each_service_does(client: Callable[..., Any], emulator: AwsEmulator) -> None:
    emulator.faults.script([{"do": "fail", "code": "throttled", "times": None}])
    assert _error(client("sagemaker").list_models) == ("ThrottlingException", 400)
    assert _error(client("s3").list_buckets) == ("SlowDown", 503)
    assert _error(client("sts").get_caller_identity) == ("Throttling", 400)
    assert _error(client("logs").describe_log_groups) == ("ThrottlingException", 400)


def test_a_service_at_fault_answers_with_a_server_s_error(client: Callable[..., Any], emulator: AwsEmulator) -> None:
    emulator.faults.script([{"do": "fail", "code": "unavailable"}, {"do": "fail", "code": "internal", "nth": 2}])
    assert _error(client("sagemaker").list_models) == ("ServiceUnavailable", 503)
    assert _error(client("sagemaker").list_models) == ("InternalFailure", 500)


def test_a_cut_connection_has_no_answer_and_may_have_had_its_effect(
    client: Callable[..., Any], emulator: AwsEmulator
) -> None:
    sagemaker = client("sagemaker")
    emulator.faults.script(
        [
            {"operation": "CreateModelPackageGroup", "do": "cut", "when": when, "nth": n}
            for n, when in ((1, "before"), (2, "after"))
        ]
    )
    for _ in range(2):
        with pytest.raises(HTTPClientError):
            sagemaker.create_model_package_group(ModelPackageGroupName="credit")
    assert len(sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]) == 1
    outcomes = [entry.outcome for entry in emulator.ledger.calls("sagemaker", "CreateModelPackageGroup")]
    assert outcomes == ["cut", "cut"]


def test_a_lie_patches_the_true_answer(client: Callable[..., Any], emulator: AwsEmulator) -> None:
    sagemaker, logs = client("sagemaker"), client("logs")
    emulator.faults.script(
        [
            {"operation": "ListModels", "do": "lie", "when": "after", "reply": {"NextToken": "more"}},
            {"operation": "DescribeLogGroups", "do": "lie", "when": "after", "reply": {"nextToken": "more"}},
        ]
    )
    assert sagemaker.list_models()["NextToken"] == "more"
    assert logs.describe_log_groups()["nextToken"] == "more"
    emulator.faults.script(
        [
            {"operation": "ListModels", "do": "lie", "reply": {"Models": []}},
            {"operation": "ListBuckets", "do": "lie", "reply": {"body": "<ListAllMyBucketsResult/>"}},
        ]
    )
    assert sagemaker.list_models()["Models"] == []
    assert "Buckets" not in client("s3").list_buckets()


def test_what_is_not_emulated_says_so(client: Callable[..., Any], emulator: AwsEmulator) -> None:
    assert _error(client("sagemaker").list_apps) == ("NotEmulated", 501)
    with pytest.raises(ClientError, match="the service 'sqs' is not emulated"):
        client("sqs").list_queues()
    with pytest.raises(ClientError, match="not emulated"):
        client("application-autoscaling").get_predictive_scaling_forecast(
            ServiceNamespace="sagemaker",
            ResourceId="endpoint/a/variant/b",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            PolicyName="p",
            StartTime=0,
            EndTime=1,
        )


def test_a_signature_for_another_region_is_refused(emulator: AwsEmulator, environment: AwsEnvironment) -> None:
    keys = emulator.credentials("deployer")
    foreign = boto3.client(
        "sagemaker",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
    )
    assert _error(foreign.list_models)[0] == "InvalidSignatureException"


def _raw(emulator: AwsEmulator, headers: dict[str, str], body: str = "{}", path: str = "/") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", int(emulator.url.rpartition(":")[2]), timeout=10)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_requests_that_nobody_s_client_would_send(emulator: AwsEmulator, environment: AwsEnvironment) -> None:
    key = emulator.credentials("deployer").access_key_id
    scope = (
        f"AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0"
    )
    target = {"Authorization": scope, "X-Amz-Target": "SageMaker.ListModels"}
    status, body = _raw(emulator, target, "[1")
    assert (status, json.loads(body)["__type"]) == (400, "SerializationException")
    status, body = _raw(emulator, {**target, "X-Amz-Target": "SageMaker.MakeCoffee"})
    assert (status, json.loads(body)["__type"]) == (400, "UnknownOperationException")
    status, body = _raw(emulator, {"X-Amz-Target": "SageMaker.ListModels"})
    assert status == 403
    assert json.loads(body)["__type"] == "MissingAuthenticationTokenException"
    status, body = _raw(emulator, {})
    assert (status, b"MethodNotAllowed" in body) == (405, True)
    status, body = _raw(emulator, {"Authorization": scope}, path="/nowhere")
    assert status in {404, 405}


def test_every_answer_has_a_request_id(client: Callable[..., Any]) -> None:
    first, second = (client("sagemaker").list_models()["ResponseMetadata"]["RequestId"] for _ in range(2))
    assert len(first) == 36
    assert first != second


def test_cloudwatch_answers_in_all_its_protocols(
    client: Callable[..., Any], emulator: AwsEmulator, bucket: str
) -> None:
    metrics = client("cloudwatch")
    metrics.put_metric_alarm(
        AlarmName="guard",
        Namespace="N",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.5,
        ComparisonOperator="GreaterThanThreshold",
        Tags=[{"Key": "a", "Value": "b"}],
    )
    (alarm,) = metrics.describe_alarms()["MetricAlarms"]
    assert alarm["Threshold"] == 1.5
    key = emulator.credentials("deployer").access_key_id
    scope = (
        f"AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/monitoring/aws4_request, SignedHeaders=host, Signature=0"
    )
    form = {"Authorization": scope, "Content-Type": "application/x-www-form-urlencoded"}
    status, body = _raw(emulator, form, "Action=DescribeAlarms&AlarmNames.member.1=guard&Version=2010-08-01")
    assert (status, b"<AlarmName>guard</AlarmName>" in body) == (200, True)
    target = {"Authorization": scope, "X-Amz-Target": "GraniteServiceVersion20100801.DescribeAlarms"}
    status, body = _raw(emulator, target, '{"AlarmNames": ["guard"]}')
    assert json.loads(body)["MetricAlarms"][0]["AlarmName"] == "guard"
    assert _error(metrics.delete_alarms, AlarmNames=["none"])[1] in {400, 404}


class TestQuotas:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=0.0)

    def test_lists_of_training_jobs_are_throttled_at_two_a_second(
        self, client: Callable[..., Any], emulator: AwsEmulator
    ) -> None:
        sagemaker = client("sagemaker")
        outcomes = []
        for _ in range(4):
            try:
                sagemaker.list_training_jobs()
                outcomes.append("ok")
            except ClientError as exc:
                outcomes.append(exc.response["Error"]["Code"])
        assert outcomes[0] == "ok"
        assert outcomes[-1] == "ThrottlingException"
        emulator.clock.advance(1)
        sagemaker.list_training_jobs()
