"""Who may do what: least policies, IAM documents put through the wire, roles assumed through STS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from mlinfra.emulator.policy import Statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

_TRUST_ACCOUNT = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _denied(act: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        act(**arguments)
    assert caught.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException", "403"}
    return str(caught.value)


@pytest.fixture
def administrator(emulator: AwsEmulator, environment: AwsEnvironment, client: Callable[..., Any]) -> Callable[..., Any]:
    """Clients of the deployer, who may do everything in IAM and STS in these tests."""
    emulator.policy.put(environment.identities["deployer"], "admin", [Statement("allow", ("iam:*", "sts:*"))])
    return client


@pytest.fixture
def connect(emulator: AwsEmulator) -> Callable[..., Any]:
    """A client with keys as STS or IAM hand them out."""

    def make(service: str, keys: dict[str, Any]) -> Any:
        return boto3.client(
            service,
            endpoint_url=emulator.url,
            region_name="eu-west-1",
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make


def test_only_the_approver_writes_approvals(client: Callable[..., Any], bucket: str) -> None:
    for who in ("deployer", "trainer", "server"):
        assert "approvals/credit" in _denied(
            client("s3", who).put_object, Bucket=bucket, Key="approvals/credit", Body=b""
        )
    client("s3", "approver").put_object(Bucket=bucket, Key="approvals/credit", Body=b"yes")
    assert client("s3").get_object(Bucket=bucket, Key="approvals/credit")["Body"].read() == b"yes"
    _denied(client("s3").delete_object, Bucket=bucket, Key="approvals/credit")
    _denied(client("s3").copy_object, Bucket=bucket, Key="approvals/x", CopySource=f"{bucket}/approvals/credit")
    copied = {"Bucket": bucket, "Key": "data/x", "CopySource": f"{bucket}/approvals/credit"}
    client("s3").copy_object(**copied)
    assert "s3:GetObject" in _denied(client("s3", "trainer").copy_object, **copied)
    deleting = {"Objects": [{"Key": "data/x"}, {"Key": "approvals/credit"}]}
    _denied(client("s3").delete_objects, Bucket=bucket, Delete=deleting)
    _denied(client("s3").create_multipart_upload, Bucket=bucket, Key="approvals/credit")


def test_each_identity_may_do_its_part_and_no_more(client: Callable[..., Any], bucket: str) -> None:
    client("s3", "trainer").put_object(Bucket=bucket, Key="artefacts/model", Body=b"m")
    client("s3", "server").get_object(Bucket=bucket, Key="artefacts/model")
    client("s3", "server").put_object(Bucket=bucket, Key="captures/1", Body=b"c")
    _denied(client("s3", "server").put_object, Bucket=bucket, Key="data/x", Body=b"")
    for who in ("trainer", "server"):
        _denied(client("sagemaker", who).list_models)
    assert client("sagemaker", "approver").list_models()["Models"] == []
    _denied(client("sagemaker", "approver").create_model_package_group, ModelPackageGroupName="g")
    _denied(client("s3", "approver").put_object, Bucket=bucket, Key="data/x", Body=b"")


def test_a_missing_object_is_forbidden_to_whom_may_not_list(
    client: Callable[..., Any], emulator: AwsEmulator, environment: AwsEnvironment, bucket: str
) -> None:
    s3 = client("s3")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="data/none")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    with emulator.policy.without(environment.identities["deployer"], "s3:ListBucket"):
        _denied(s3.get_object, Bucket=bucket, Key="data/none")
        _denied(s3.head_object, Bucket=bucket, Key="data/none")


def test_without_one_permission_exactly_its_operation_is_refused(
    client: Callable[..., Any], emulator: AwsEmulator, environment: AwsEnvironment, bucket: str
) -> None:
    sagemaker, s3, logs, metrics = (client(name) for name in ("sagemaker", "s3", "logs", "cloudwatch"))
    scaling = client("application-autoscaling")
    calls = {
        "sagemaker:ListModels": sagemaker.list_models,
        "sagemaker:ListModelPackageGroups": sagemaker.list_model_package_groups,
        "s3:ListBucket": lambda: s3.list_objects_v2(Bucket=bucket),
        "s3:PutObject": lambda: s3.put_object(Bucket=bucket, Key="data/x", Body=b""),
        "logs:DescribeLogGroups": logs.describe_log_groups,
        "cloudwatch:ListMetrics": metrics.list_metrics,
        "application-autoscaling:DescribeScalableTargets": lambda: scaling.describe_scalable_targets(
            ServiceNamespace="sagemaker"
        ),
    }
    for missing in calls:
        with emulator.policy.without(environment.identities["deployer"], missing):
            for action, call in calls.items():
                if action == missing:
                    assert missing in _denied(call)
                else:
                    call()


def test_policies_put_through_the_wire_take_effect_at_once(
    administrator: Callable[..., Any], connect: Callable[..., Any], bucket: str
) -> None:
    iam = administrator("iam")
    iam.create_user(UserName="ann")
    s3 = connect("s3", iam.create_access_key(UserName="ann")["AccessKey"])
    reading = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    _denied(s3.list_objects_v2, Bucket=bucket)
    iam.put_user_policy(UserName="ann", PolicyName="read", PolicyDocument=_document(reading))
    s3.list_objects_v2(Bucket=bucket)
    iam.delete_user_policy(UserName="ann", PolicyName="read")
    _denied(s3.list_objects_v2, Bucket=bucket)
    policy = iam.create_policy(PolicyName="readers", PolicyDocument=_document(reading))["Policy"]["Arn"]
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn=policy)
    iam.add_user_to_group(GroupName="readers", UserName="ann")
    s3.list_objects_v2(Bucket=bucket)
    iam.create_policy_version(
        PolicyArn=policy, PolicyDocument=_document({**reading, "Effect": "Deny"}), SetAsDefault=True
    )
    assert "with an explicit deny in an identity-based policy" in _denied(s3.list_objects_v2, Bucket=bucket)


def test_conditions_of_policies_count(
    administrator: Callable[..., Any], connect: Callable[..., Any], bucket: str
) -> None:
    iam = administrator("iam")
    iam.create_user(UserName="ann")
    s3 = connect("s3", iam.create_access_key(UserName="ann")["AccessKey"])
    below = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": "*",
        "Condition": {"StringLike": {"s3:prefix": ["data/*"]}},
    }
    iam.put_user_policy(UserName="ann", PolicyName="read", PolicyDocument=_document(below))
    s3.list_objects_v2(Bucket=bucket, Prefix="data/2026")
    _denied(s3.list_objects_v2, Bucket=bucket, Prefix="artefacts/")
    unknown = {**below, "Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}}
    with pytest.raises(ClientError) as caught:
        iam.put_user_policy(UserName="ann", PolicyName="late", PolicyDocument=_document(unknown))
    assert caught.value.response["Error"]["Code"] == "MalformedPolicyDocument"


def test_a_role_is_assumed_by_whom_it_trusts_and_acts_as_itself(
    administrator: Callable[..., Any], connect: Callable[..., Any], environment: AwsEnvironment, emulator: AwsEmulator
) -> None:
    iam, sts = administrator("iam"), administrator("sts")
    iam.create_role(RoleName="auditor", AssumeRolePolicyDocument=_document(_TRUST_ACCOUNT))
    role = iam.get_role(RoleName="auditor")["Role"]["Arn"]
    listing = {"Effect": "Allow", "Action": "sagemaker:List*", "Resource": "*"}
    iam.put_role_policy(RoleName="auditor", PolicyName="list", PolicyDocument=_document(listing))
    keys = sts.assume_role(RoleArn=role, RoleSessionName="audit-1")["Credentials"]
    told = connect("sts", keys).get_caller_identity()
    assert told["Arn"] == "arn:aws:sts::111122223333:assumed-role/auditor/audit-1"
    assert connect("sagemaker", keys).list_models()["Models"] == []
    message = _denied(connect("sagemaker", keys).describe_model, ModelName="m")
    assert "User: arn:aws:sts::111122223333:assumed-role/auditor/audit-1 is not authorized" in message
    _denied(sts.assume_role, RoleArn=environment.identities["trainer"], RoleSessionName="not-a-service")
    _denied(sts.assume_role, RoleArn="arn:aws:iam::111122223333:role/nobody", RoleSessionName="xy")
    emulator.clock.advance(3700)
    with pytest.raises(ClientError) as caught:
        connect("sagemaker", keys).list_models()
    assert caught.value.response["Error"]["Code"] == "ExpiredTokenException"


def test_a_deleted_or_inactive_key_is_nobody_s(administrator: Callable[..., Any], connect: Callable[..., Any]) -> None:
    iam = administrator("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    assert connect("sts", key).get_caller_identity()["Arn"] == "arn:aws:iam::111122223333:user/ann"
    iam.update_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        connect("sts", key).get_caller_identity()
    iam.delete_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"])
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        connect("sts", key).get_caller_identity()


def test_the_emulator_itself_acts_in_a_role_s_name(
    emulator: AwsEmulator, environment: AwsEnvironment, bucket: str
) -> None:
    from mlinfra.emulator.calls import Refusal  # noqa: PLC0415  this test's alone

    trainer, approver = environment.identities["trainer"], environment.identities["approver"]
    emulator.storage.write(f"s3://{bucket}/data/x", b"1", trainer)
    assert emulator.storage.read(f"s3://{bucket}/data/x", trainer) == b"1"
    with pytest.raises(Refusal, match="AccessDenied"):
        emulator.storage.write(f"s3://{bucket}/approvals/x", b"1", trainer)
    with pytest.raises(Refusal, match="AccessDenied"):
        emulator.logs.put("/aws/sagemaker/TrainingJobs", "j/algo-1-1", [(0, "x")], approver)
    with pytest.raises(Refusal, match="NoSuchKey"):
        emulator.storage.read(f"s3://{bucket}/data/none", trainer)
    with pytest.raises(Refusal, match="NoSuchBucket"):
        emulator.storage.read("s3://none/x")


def test_tags_at_a_creation_ask_for_a_permission_of_their_own(
    client: Callable[..., Any], emulator: AwsEmulator, environment: AwsEnvironment
) -> None:
    sagemaker = client("sagemaker")
    with emulator.policy.without(environment.identities["deployer"], "sagemaker:AddTags"):
        sagemaker.create_model_package_group(ModelPackageGroupName="plain")
        message = _denied(
            sagemaker.create_model_package_group, ModelPackageGroupName="tagged", Tags=[{"Key": "a", "Value": "b"}]
        )
    assert (
        "sagemaker:AddTags on resource: arn:aws:sagemaker:eu-west-1:111122223333:model-package-group/tagged" in message
    )


def test_a_principal_s_permissions_can_be_asked_about(
    client: Callable[..., Any], environment: AwsEnvironment, bucket: str
) -> None:
    iam = client("iam")
    asked = {
        "PolicySourceArn": environment.identities["trainer"],
        "ActionNames": ["s3:PutObject", "sagemaker:CreateModel"],
        "ResourceArns": [f"arn:aws:s3:::{bucket}/data/x", f"arn:aws:s3:::{bucket}/approvals/x"],
    }
    pages = iam.get_paginator("simulate_principal_policy").paginate(**asked, PaginationConfig={"PageSize": 3})
    found = [each for page in pages for each in page["EvaluationResults"]]
    assert [each["EvalDecision"] for each in found] == ["allowed", "explicitDeny", "implicitDeny", "implicitDeny"]
    passing = {"PolicySourceArn": environment.identities["deployer"], "ActionNames": ["iam:PassRole"]}
    passing["ResourceArns"] = [environment.identities["trainer"]]
    service = {"ContextKeyName": "iam:PassedToService", "ContextKeyType": "string"}
    for name, decision in (("sagemaker.amazonaws.com", "allowed"), ("ec2.amazonaws.com", "implicitDeny")):
        told = iam.simulate_principal_policy(**passing, ContextEntries=[{**service, "ContextKeyValues": [name]}])
        assert told["EvaluationResults"][0]["EvalDecision"] == decision
    supposed = _document({"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"})
    told = iam.simulate_principal_policy(**{**asked, "PolicyInputList": [supposed]})
    assert told["EvaluationResults"][-1]["EvalDecision"] == "allowed"
    with pytest.raises(ClientError) as caught:
        iam.simulate_principal_policy(**{**asked, "PolicySourceArn": "arn:aws:iam::111122223333:role/nobody"})
    assert caught.value.response["Error"]["Code"] == "NoSuchEntity"
