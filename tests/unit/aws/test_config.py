"""Overrides, offline validation, and the policies to hand to an administrator."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader

from mlinfra.contract.capabilities import Capability
from mlinfra.contract.requests import Request
from mlinfra.errors import KitFault, SpecError
from mlinfra.spec import JobSpec
from mlinfra_aws import CAPABILITIES
from mlinfra_aws.config import OWNED, check_overrides, check_request, overridden, permissions, policy

if TYPE_CHECKING:
    from mlinfra.environment import AwsEnvironment

ROOT = Path(__file__).parents[3]
ANYWHERE = {  # what AWS's service authorisation reference lets nobody narrow
    "sagemaker:Search",
    "sagemaker:List*",
    "application-autoscaling:Describe*",
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    "cloudwatch:DescribeAlarms",
    "ecr:GetAuthorizationToken",
    "ec2:Describe*",
}


def override(operation: str, patch: dict[str, Any]) -> dict[str, Any]:
    return {operation: patch}


def test_every_capability_is_declared():
    assert set(CAPABILITIES) == set(Capability)


@pytest.mark.thorough
def test_what_is_kept_of_the_vendor_is_what_its_packages_say():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "schemas" / "aws.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_operation_that_may_be_overridden_exists():
    known = set(Loader().load_service_model("sagemaker", "service-2")["operations"])
    known |= set(Loader().load_service_model("application-autoscaling", "service-2")["operations"])
    known |= set(Loader().load_service_model("cloudwatch", "service-2")["operations"])
    assert set(OWNED) <= known


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"CreateTrainingJobb": {}}, "did you mean CreateTrainingJob"),
        ({"CreateTrainingJob": {"EnableNetworkIsolaton": True}}, "did you mean EnableNetworkIsolation"),
        ({"CreateTrainingJob": {"ResourceConfig": {"VolumeSizeGB": 5}}}, "did you mean VolumeSizeInGB"),
        ({"CreateTrainingJob": {"InputDataConfig": {"1": {"ChannelNam": "x"}}}}, "did you mean ChannelName"),
        ({"CreateTrainingJob": {"TrainingJobName": "mine"}}, "set by the kit"),
        ({"CreateTrainingJob": {"Tags": []}}, "set by the kit"),
        ({"CreateTrainingJob": {"InputDataConfig": []}}, "set by the kit"),
        ({"CreateTrainingJob": {"AlgorithmSpecification": {"ContainerEntrypoint": ["sh"]}}}, "set by the kit"),
        ({"CreateTrainingJob": {"Environment": {"MLINFRA_MANIFEST_0": "{}"}}}, "of the kit"),
        ({"CreateTrainingJob": {"Environment": {"MLINFRA_WHEELS": "/tmp"}}}, "of the kit"),  # noqa: S108  any path
        ({"CreateTrainingJob": {"Environment": None}}, "set by the kit"),
    ],
)
def test_an_override_that_cannot_be_is_refused_before_anything_is_read(
    overrides: dict[str, Any], words: str, environment: AwsEnvironment
):
    with pytest.raises(SpecError, match=words):
        check_overrides(overrides, environment)


@pytest.mark.parametrize(
    "patch",
    [
        {"EnableNetworkIsolation": False},
        {"EnableInterContainerTrafficEncryption": None},
        {"OutputDataConfig": {"KmsKeyId": None}},
        {"OutputDataConfig": {"KmsKeyId": "alias/mine"}},
        {"ResourceConfig": {"VolumeKmsKeyId": ""}},
        {"ResourceConfig": None},
        {"RoleArn": "arn:aws:iam::111122223333:role/Administrator"},
        {"VpcConfig": None},
        {"VpcConfig": {"Subnets": ["subnet-00"]}},
    ],
)
def test_no_override_weakens_a_production_stage(patch: dict[str, Any], environment: AwsEnvironment):
    production = environment.model_copy(update={"stage": "prod"})
    with pytest.raises(SpecError, match="weakens what protects stage prod"):
        check_overrides({"CreateTrainingJob": patch}, production)
    check_overrides({"CreateTrainingJob": patch}, environment)
    spec = JobSpec(name="hello", command=["x"], overrides={"aws": {"CreateTrainingJob": patch}})
    with pytest.raises(SpecError, match="weakens what protects stage prod"):
        overridden("CreateTrainingJob", {}, spec, production)


def test_an_override_may_protect_more(environment: AwsEnvironment):
    production = environment.model_copy(update={"stage": "prod"})
    check_overrides({"CreateTrainingJob": {"EnableNetworkIsolation": True}}, production)


def test_a_request_is_checked_against_the_vendors_description():
    def request(body: dict[str, Any]) -> Request:
        return Request(step="x", service="sagemaker", operation="StopTrainingJob", body=body, repeatable=True)

    check_request(request({"TrainingJobName": "good-name"}))
    for body in (
        {},
        {"TrainingJobName": "bad_name"},
        {"TrainingJobName": "x" * 64},
        {"TrainingJobName": "a", "More": 1},
    ):
        with pytest.raises(SpecError):
            check_request(request(body))
    with pytest.raises(KitFault):
        check_request(Request(step="x", service="sagemaker", operation="CreateLabelingJob", effect=False))


def test_a_value_that_the_vendor_lists_is_checked():
    body = {"Resource": "TrainingJobs"}
    with pytest.raises(SpecError, match="did you mean TrainingJob"):
        check_request(Request(step="x", service="sagemaker", operation="Search", body=body, effect=False))


def test_a_policy_asks_for_everywhere_only_where_aws_has_no_narrower_place(environment: AwsEnvironment):
    for identity, document in policy(environment).items():
        for statement in document["Statement"]:
            assert statement["Resource"], (identity, statement["Sid"])
            if "*" in statement["Resource"]:
                wide = [
                    action
                    for action in statement["Action"]
                    if not any(fnmatch.fnmatch(action, pattern) for pattern in ANYWHERE)
                ]
                assert wide == [], (identity, statement["Sid"])
            assert not any(action.endswith("*") for action in statement["Action"])


def test_the_policies_name_this_environment_and_no_other(environment: AwsEnvironment):
    text = json.dumps(policy(environment))
    assert "arn:aws:s3:::mlinfra-test/pre/fix/code/*" in text
    assert f"model-package-group/*-{environment.suffix}" in text
    assert environment.identities["trainer"] in text
    assert "iam:PassedToService" in text


def test_whoever_submits_may_not_decide(environment: AwsEnvironment):
    statements = policy(environment)["caller"]["Statement"]
    denied = next(statement for statement in statements if statement["Effect"] == "Deny")
    assert "s3:PutObject" in denied["Action"]
    assert denied["Resource"] == ["arn:aws:s3:::mlinfra-test/pre/fix/approvals/*"]


def test_every_identity_gets_its_permissions(environment: AwsEnvironment):
    found = permissions(environment)
    assert set(found) == {"caller", "trainer", "server", "approver"}
    assert "sagemaker:CreateTrainingJob" in found["caller"]
    assert not any(action.startswith("sagemaker:") for action in found["trainer"] + found["server"])


def test_alarms_are_made_for_the_environments_own_endpoints_alone(environment: AwsEnvironment):
    (alarms,) = (
        each for each in policy(environment)["caller"]["Statement"] if "cloudwatch:PutMetricAlarm" in each["Action"]
    )
    account = f"{environment.region}:{environment.account}"
    assert alarms["Resource"] == [f"arn:aws:cloudwatch:{account}:alarm:mlinfra--*-{environment.suffix}--*"]
    assert set(alarms["Action"]) == {f"cloudwatch:{name}" for name in ("PutMetricAlarm", "DeleteAlarms", "TagResource")}


def test_images_are_pushed_to_the_environments_own_repositories_alone(environment: AwsEnvironment):
    assert "ecr:PutImage" not in permissions(environment)["caller"]
    home = f"{environment.account}.dkr.ecr.{environment.region}.amazonaws.com/risk"
    statements = policy(environment.model_copy(update={"registries": {"images": home}}))["caller"]["Statement"]
    (pushes,) = (each for each in statements if "ecr:PutImage" in each["Action"])
    assert pushes["Resource"] == [f"arn:aws:ecr:{environment.region}:{environment.account}:repository/risk/*"]
