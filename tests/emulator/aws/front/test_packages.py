"""Model package groups and packages, as boto3 makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

_ARN = "arn:aws:sagemaker:eu-west-1:111122223333"


@pytest.fixture
def sagemaker(client: Callable[..., Any]) -> Any:
    return client("sagemaker")


@pytest.fixture
def specification(environment: AwsEnvironment, bucket: str) -> dict[str, Any]:
    container = {"Image": environment.images["serving"].uri, "ModelDataUrl": f"s3://{bucket}/artefacts/model.tar.gz"}
    return {
        "Containers": [container],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }


@pytest.fixture
def group(sagemaker: Any) -> str:
    sagemaker.create_model_package_group(ModelPackageGroupName="credit", Tags=[{"Key": "team", "Value": "risk"}])
    return "credit"


def _register(sagemaker: Any, group: str, specification: Any, **more: Any) -> str:
    made = sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification, **more)
    return str(made["ModelPackageArn"])


def test_a_group_is_told_as_it_was_made(sagemaker: Any, group: str) -> None:
    told = sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert told["ModelPackageGroupArn"] == f"{_ARN}:model-package-group/credit"
    assert told["ModelPackageGroupStatus"] == "Completed"
    assert told["CreatedBy"]["IamIdentity"]["Arn"].endswith(":assumed-role/mlinfra-deployer/emulated")
    by_arn = sagemaker.describe_model_package_group(ModelPackageGroupName=told["ModelPackageGroupArn"])
    assert by_arn["ModelPackageGroupName"] == "credit"


def test_a_group_s_name_is_given_once(sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError) as caught:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"] == f"Model Package Group already exists: {_ARN}:model-package-group/credit"


def test_versions_count_up_and_are_not_given_again(sagemaker: Any, group: str, specification: Any) -> None:
    first, second = (_register(sagemaker, group, specification) for _ in range(2))
    assert (first, second) == (f"{_ARN}:model-package/credit/1", f"{_ARN}:model-package/credit/2")
    sagemaker.delete_model_package(ModelPackageName=second)
    assert _register(sagemaker, group, specification).endswith("/3")


def test_a_version_is_told_as_it_was_registered(sagemaker: Any, group: str, specification: Any) -> None:
    arn = _register(
        sagemaker,
        group,
        specification,
        CustomerMetadataProperties={"alias:prod": "yes"},
        ModelLifeCycle={"Stage": "Staging", "StageStatus": "Pending"},
        SourceUri=f"{_ARN}:model/credit",
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/s.json"}}},
    )
    told = sagemaker.describe_model_package(ModelPackageName=arn)
    assert told["ModelPackageGroupName"] == "credit"
    assert told["ModelPackageVersion"] == 1
    assert told["ModelPackageStatus"] == "Completed"
    assert told["ModelApprovalStatus"] == "PendingManualApproval"
    assert told["ModelLifeCycle"] == {"Stage": "Staging", "StageStatus": "Pending"}
    assert told["SourceUri"] == f"{_ARN}:model/credit"
    assert told["CustomerMetadataProperties"] == {"alias:prod": "yes"}
    digest = specification["Containers"][0]["Image"].partition("@")[2]
    assert told["InferenceSpecification"]["Containers"][0]["ImageDigest"] == digest
    assert "ModelPackageName" not in told
    assert sagemaker.describe_model_package(ModelPackageName="credit/1")["ModelPackageArn"] == arn


def test_an_update_leaves_what_it_does_not_name(sagemaker: Any, group: str, specification: Any) -> None:
    metadata = {"alias:prod": "1", "alias:next": "1"}
    arn = _register(
        sagemaker, group, specification, ModelApprovalStatus="Approved", CustomerMetadataProperties=metadata
    )
    sagemaker.update_model_package(ModelPackageArn=arn, ModelLifeCycle={"Stage": "Prod", "StageStatus": "Live"})
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"owner": "x"},
        CustomerMetadataPropertiesToRemove=["alias:next"],
    )
    told = sagemaker.describe_model_package(ModelPackageName=arn)
    assert told["ModelApprovalStatus"] == "Approved"
    assert told["ModelLifeCycle"]["Stage"] == "Prod"
    assert told["CustomerMetadataProperties"] == {"alias:prod": "1", "owner": "x"}
    assert told["LastModifiedTime"] > told["CreationTime"]
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["alias:prod", "owner"])
    assert "CustomerMetadataProperties" not in sagemaker.describe_model_package(ModelPackageName=arn)


def test_metadata_is_limited_over_all_updates(sagemaker: Any, group: str, specification: Any) -> None:
    full = {f"k{number}": "v" for number in range(50)}
    arn = _register(sagemaker, group, specification, CustomerMetadataProperties=full)
    with pytest.raises(ClientError, match="at most 50 CustomerMetadataProperties"):
        sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"one": "more"})
    sagemaker.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"one": "more"}, CustomerMetadataPropertiesToRemove=["k1"]
    )


def test_additional_specifications_are_added_under_names_of_their_own(
    sagemaker: Any, group: str, specification: Any
) -> None:
    arn = _register(sagemaker, group, specification)
    extra = {"Name": "arm", "Containers": specification["Containers"]}
    sagemaker.update_model_package(ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[extra])
    told = sagemaker.describe_model_package(ModelPackageName=arn)
    assert [each["Name"] for each in told["AdditionalInferenceSpecifications"]] == ["arm"]
    with pytest.raises(ClientError, match="must be unique"):
        sagemaker.update_model_package(ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[extra])


def test_a_client_token_makes_registering_happen_once(sagemaker: Any, group: str, specification: Any) -> None:
    first = _register(sagemaker, group, specification, ClientToken="again")
    assert _register(sagemaker, group, specification, ClientToken="again") == first
    with pytest.raises(ClientError) as caught:
        _register(sagemaker, group, specification, ClientToken="again", Domain="OTHER")
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert len(listed) == 1


def test_versions_are_listed_by_group_approval_and_time(sagemaker: Any, group: str, specification: Any) -> None:
    arns = [_register(sagemaker, group, specification) for _ in range(12)]
    sagemaker.update_model_package(ModelPackageArn=arns[4], ModelApprovalStatus="Approved")
    sagemaker.create_model_package_group(ModelPackageGroupName="other")
    _register(sagemaker, "other", specification)
    paginator = sagemaker.get_paginator("list_model_packages")
    pages = list(paginator.paginate(ModelPackageGroupName=group, SortOrder="Descending"))
    listed = [each for page in pages for each in page["ModelPackageSummaryList"]]
    assert [each["ModelPackageVersion"] for each in listed] == list(range(12, 0, -1))
    assert all("ModelPackageName" not in each for each in listed)
    approved = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [each["ModelPackageArn"] for each in approved["ModelPackageSummaryList"]] == [arns[4]]
    assert sagemaker.list_model_packages()["ModelPackageSummaryList"] == []
    both = sagemaker.list_model_packages(ModelPackageType="Both", MaxResults=100, NameContains="oth")
    assert [each["ModelPackageGroupName"] for each in both["ModelPackageSummaryList"]] == ["other"]
    with pytest.raises(ClientError, match=r"ModelPackageGroup .*model-package-group/none does not exist"):
        sagemaker.list_model_packages(ModelPackageGroupName="none")


def test_a_group_with_versions_is_not_deleted(sagemaker: Any, group: str, specification: Any) -> None:
    arn = _register(sagemaker, group, specification)
    with pytest.raises(ClientError) as caught:
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match=r"ModelPackage .*credit/1 does not exist"):
        sagemaker.describe_model_package(ModelPackageName=arn)


def test_several_versions_are_described_at_once(sagemaker: Any, group: str, specification: Any) -> None:
    arn = _register(sagemaker, group, specification)
    told = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, f"{arn}9"])
    assert told["ModelPackageSummaries"][arn]["ModelPackageVersion"] == 1
    assert told["BatchDescribeModelPackageErrorMap"][f"{arn}9"]["ErrorCode"] == "ValidationException"


def test_what_contradicts_itself_is_refused(sagemaker: Any, group: str, specification: Any) -> None:
    with pytest.raises(ClientError, match="Cannot determine which one to use"):
        _register(sagemaker, group, specification, ModelPackageName="x")
    with pytest.raises(ClientError, match="Missing ARN"):
        sagemaker.create_model_package(InferenceSpecification=specification)
    with pytest.raises(ClientError, match="those of its group"):
        _register(sagemaker, group, specification, Tags=[{"Key": "a", "Value": "b"}])
    with pytest.raises(ClientError, match=r"ModelPackageGroup .* does not exist"):
        _register(sagemaker, "none", specification)
    with pytest.raises(ClientError, match="KMS key alias/none does not exist"):
        _register(sagemaker, group, specification, SecurityConfig={"KmsKeyId": "alias/none"})


class TestUnversioned:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(quotas=False)

    def test_a_package_without_a_group_is_looked_at_first(
        self, sagemaker: Any, emulator: AwsEmulator, specification: Any
    ) -> None:
        sagemaker.create_model_package(ModelPackageName="alone", InferenceSpecification=specification)
        assert sagemaker.describe_model_package(ModelPackageName="alone")["ModelPackageStatus"] == "Pending"
        emulator.clock.advance(5)
        assert sagemaker.describe_model_package(ModelPackageName="alone")["ModelPackageStatus"] == "InProgress"
        emulator.clock.advance(30)
        listed = sagemaker.list_model_packages()["ModelPackageSummaryList"]
        assert [(each["ModelPackageName"], each["ModelPackageStatus"]) for each in listed] == [("alone", "Completed")]
        with pytest.raises(ClientError, match="ModelPackage already exists"):
            sagemaker.create_model_package(ModelPackageName="alone", InferenceSpecification=specification)
        with pytest.raises(ClientError, match="not a versioned model package"):
            sagemaker.update_model_package(
                ModelPackageArn=f"{_ARN}:model-package/alone", ModelApprovalStatus="Approved"
            )


def test_a_model_of_a_package_asks_for_its_approval(
    sagemaker: Any, emulator: AwsEmulator, environment: AwsEnvironment, group: str, specification: Any
) -> None:
    emulator.storage.write(specification["Containers"][0]["ModelDataUrl"], b"data")
    arn = _register(sagemaker, group, specification)
    asked = {
        "ModelName": "credit",
        "ExecutionRoleArn": environment.identities["server"],
        "Containers": [{"ModelPackageName": arn, "Environment": {"A": "1"}}],
    }
    with pytest.raises(ClientError, match="its approval status is PendingManualApproval"):
        sagemaker.create_model(**asked)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.create_model(**asked)
    (container,) = emulator.models.containers("credit")
    assert container["Image"] == specification["Containers"][0]["Image"]
    assert container["Environment"] == {"A": "1"}


def test_a_group_s_policy_is_kept(sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)
    sagemaker.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy="{}")
    assert sagemaker.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"] == "{}"
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        sagemaker.delete_model_package_group_policy(ModelPackageGroupName=group)


class TestLag:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(quotas=False, list_lag=60.0)

    def test_lists_and_searches_lag_and_describing_does_not(
        self, sagemaker: Any, emulator: AwsEmulator, group: str
    ) -> None:
        everything = {
            "Resource": "ModelPackageGroup",
            "SearchExpression": {"Filters": [{"Name": "CreationTime", "Operator": "Exists"}]},
        }

        def seen() -> tuple[int, int]:
            listed = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
            return len(listed), len(sagemaker.search(**everything)["Results"])

        assert sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupName"] == group
        assert seen() == (0, 0)
        emulator.clock.advance(61)
        assert seen() == (1, 1)
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
        assert seen()[0] == 1
        emulator.clock.advance(61)
        assert seen() == (0, 0)
