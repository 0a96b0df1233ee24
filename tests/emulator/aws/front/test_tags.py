"""Tags of everything, and searching by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment


@pytest.fixture
def sagemaker(client: Callable[..., Any]) -> Any:
    return client("sagemaker")


def _group(sagemaker: Any, name: str, **tags: str) -> str:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=listed)
    return str(made["ModelPackageGroupArn"])


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def test_tags_are_added_replaced_and_removed(sagemaker: Any) -> None:
    arn = _group(sagemaker, "credit", a="1", b="2")
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": ""}])
    assert _tags(sagemaker, arn) == {"a": "1", "b": "3", "c": ""}
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "none"])
    assert _tags(sagemaker, arn) == {"b": "3", "c": ""}


def test_tags_of_what_is_not_there_are_refused(sagemaker: Any) -> None:
    arn = _group(sagemaker, "credit", a="1")
    sagemaker.delete_model_package_group(ModelPackageGroupName="credit")
    for act in (
        lambda: sagemaker.list_tags(ResourceArn=arn),
        lambda: sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"]),
    ):
        with pytest.raises(ClientError, match=f'Could not find resource "{arn}"'):
            act()
    assert _group(sagemaker, "credit") == arn
    assert _tags(sagemaker, arn) == {}


def test_a_resource_has_at_most_50_tags(sagemaker: Any) -> None:
    arn = _group(sagemaker, "credit", **{f"k{number}": "v" for number in range(49)})
    with pytest.raises(ClientError) as caught:
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "x", "Value": ""}, {"Key": "y", "Value": ""}])
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    assert len(_tags(sagemaker, arn)) == 49


def test_a_key_is_given_once(sagemaker: Any) -> None:
    tags = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    with pytest.raises(ClientError, match="Duplicate tag keys"):
        sagemaker.create_model_package_group(ModelPackageGroupName="credit", Tags=tags)
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def _found(sagemaker: Any, resource: str, **expression: Any) -> list[Any]:
    paginator = sagemaker.get_paginator("search")
    pages = paginator.paginate(Resource=resource, SearchExpression=expression, PaginationConfig={"PageSize": 2})
    return [result[resource] for page in pages for result in page["Results"]]


def test_resources_are_found_by_tags_and_properties(sagemaker: Any) -> None:
    for number in range(5):
        _group(sagemaker, f"credit-{number}", team="risk" if number % 2 else "fraud", n=str(number))
    by_tag = _found(sagemaker, "ModelPackageGroup", Filters=[{"Name": "Tags.team", "Value": "risk"}])
    assert {each["ModelPackageGroupName"] for each in by_tag} == {"credit-1", "credit-3"}
    assert by_tag[0]["Tags"][0] == {"Key": "team", "Value": "risk"}
    name = "ModelPackageGroupName"
    cases = {
        ("Equals", "credit-2"): 1,
        ("NotEquals", "credit-2"): 4,
        ("Contains", "credit"): 5,
        ("In", "credit-1, credit-4"): 2,
        ("Exists", "x"): 5,
        ("NotExists", "x"): 0,
    }
    for (operator, value), count in cases.items():
        found = _found(sagemaker, "ModelPackageGroup", Filters=[{"Name": name, "Operator": operator, "Value": value}])
        assert len(found) == count, operator
    after = [{"Name": "CreationTime", "Operator": "GreaterThan", "Value": "2000-01-01T00:00:00"}]
    assert len(_found(sagemaker, "ModelPackageGroup", Filters=after)) == 5
    either = [{"Name": "Tags.n", "Value": "0"}, {"Name": "Tags.n", "Value": "3"}]
    assert len(_found(sagemaker, "ModelPackageGroup", Filters=either, Operator="Or")) == 2
    assert _found(sagemaker, "ModelPackageGroup", Filters=either) == []
    nested = [{"Filters": either, "Operator": "Or"}, {"Filters": [{"Name": "Tags.team", "Value": "risk"}]}]
    assert [each[name] for each in _found(sagemaker, "ModelPackageGroup", SubExpressions=nested)] == ["credit-3"]


def test_a_nested_filter_looks_at_one_element_at_a_time(sagemaker: Any) -> None:
    _group(sagemaker, "credit")
    for image, data in (("i:1", "s3://b/1.tar.gz"), ("i:2", "s3://b/2.tar.gz")):
        containers = [{"Image": image, "ModelDataUrl": data}, {"Image": "i:0", "ModelDataUrl": "s3://b/0.tar.gz"}]
        specification = {
            "Containers": containers,
            "SupportedContentTypes": ["a/b"],
            "SupportedResponseMIMETypes": ["a/b"],
        }
        sagemaker.create_model_package(ModelPackageGroupName="credit", InferenceSpecification=specification)
    prefix = "InferenceSpecification.Containers"

    def count(image: str, data: str) -> int:
        filters = [{"Name": f"{prefix}.Image", "Value": image}, {"Name": f"{prefix}.ModelDataUrl", "Value": data}]
        return len(
            _found(sagemaker, "ModelPackage", NestedFilters=[{"NestedPropertyName": prefix, "Filters": filters}])
        )

    assert count("i:1", "s3://b/1.tar.gz") == 1
    assert count("i:0", "s3://b/0.tar.gz") == 2
    assert count("i:1", "s3://b/0.tar.gz") == 0


def test_a_search_that_makes_no_sense_is_refused(sagemaker: Any) -> None:
    _group(sagemaker, "credit")
    twice = [{"Name": "ModelPackageGroupName", "Operator": "Contains", "Value": each} for each in "cr"]
    with pytest.raises(ClientError, match="'CONTAINS' operator usage limit of 1 exceeded"):
        _found(sagemaker, "ModelPackageGroup", Filters=twice)
    text = [{"Name": "ModelPackageGroupName", "Operator": "LessThan", "Value": "x"}]
    with pytest.raises(ClientError, match="cannot be compared"):
        _found(sagemaker, "ModelPackageGroup", Filters=text)
    with pytest.raises(ClientError, match="Search for Pipeline is not emulated"):
        _found(sagemaker, "Pipeline", Filters=[{"Name": "PipelineName", "Value": "x"}])


def test_training_jobs_and_models_are_found_too(
    sagemaker: Any, emulator: AwsEmulator, environment: AwsEnvironment, bucket: str
) -> None:
    emulator.storage.write(f"s3://{bucket}/data/rows.csv", b"1")
    emulator.storage.write(f"s3://{bucket}/artefacts/m.tar.gz", b"1")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/"}
    sagemaker.create_training_job(
        TrainingJobName="train",
        RoleArn=environment.identities["trainer"],
        AlgorithmSpecification={
            "TrainingImage": environment.images["base"].uri,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["true"],
        },
        InputDataConfig=[{"ChannelName": "rows", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/artefacts/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=[{"Key": "mlinfra_id", "Value": "1"}],
    )
    container = {"Image": environment.images["serving"].uri, "ModelDataUrl": f"s3://{bucket}/artefacts/m.tar.gz"}
    sagemaker.create_model(
        ModelName="m",
        ExecutionRoleArn=environment.identities["server"],
        PrimaryContainer=container,
        Tags=[{"Key": "mlinfra_id", "Value": "2"}],
    )
    (job,) = _found(sagemaker, "TrainingJob", Filters=[{"Name": "Tags.mlinfra_id", "Value": "1"}])
    assert job["TrainingJobName"] == "train"
    channel = [{"Name": "InputDataConfig.ChannelName", "Value": "rows"}]
    nested = [{"NestedPropertyName": "InputDataConfig", "Filters": channel}]
    assert len(_found(sagemaker, "TrainingJob", NestedFilters=nested)) == 1
    count = [{"Name": "ResourceConfig.InstanceCount", "Operator": "GreaterThanOrEqualTo", "Value": "2"}]
    assert _found(sagemaker, "TrainingJob", Filters=count) == []
    (model,) = _found(sagemaker, "Model", Filters=[{"Name": "ModelName", "Value": "m"}])
    assert model["Model"]["ModelName"] == "m"
