"""Models, as boto3 makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mlinfra.emulator.policy import Statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment


@pytest.fixture
def sagemaker(client: Callable[..., Any]) -> Any:
    return client("sagemaker")


@pytest.fixture
def server(environment: AwsEnvironment) -> str:
    return environment.identities["server"]


@pytest.fixture
def data(emulator: AwsEmulator, bucket: str) -> str:
    uri = f"s3://{bucket}/artefacts/model.tar.gz"
    emulator.storage.write(uri, b"not read here")
    return uri


@pytest.fixture
def container(environment: AwsEnvironment, data: str) -> dict[str, Any]:
    return {"Image": environment.images["serving"].uri, "ModelDataUrl": data, "Environment": {"A": "1"}}


def _message(caught: pytest.ExceptionInfo[ClientError]) -> str:
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_a_model_is_told_as_it_was_made(sagemaker: Any, server: str, container: dict[str, Any]) -> None:
    made = sagemaker.create_model(ModelName="credit", ExecutionRoleArn=server, PrimaryContainer=container)
    assert made["ModelArn"] == "arn:aws:sagemaker:eu-west-1:111122223333:model/credit"
    told = sagemaker.describe_model(ModelName="credit")
    assert told["PrimaryContainer"] == {"Mode": "SingleModel", **container}
    assert told["ExecutionRoleArn"] == server
    assert told["EnableNetworkIsolation"] is False
    assert [each["ModelName"] for each in sagemaker.list_models()["Models"]] == ["credit"]


def test_a_name_that_is_taken_is_refused_in_the_service_s_words(
    sagemaker: Any, server: str, container: dict[str, Any]
) -> None:
    sagemaker.create_model(ModelName="credit", ExecutionRoleArn=server, PrimaryContainer=container)
    with pytest.raises(ClientError) as caught:
        sagemaker.create_model(ModelName="credit", ExecutionRoleArn=server, PrimaryContainer=container)
    arn = "arn:aws:sagemaker:eu-west-1:111122223333:model/credit"
    assert _message(caught) == f'ValidationException: Cannot create already existing model "{arn}".'


def test_a_deleted_model_could_not_be_found(sagemaker: Any, server: str, container: dict[str, Any]) -> None:
    sagemaker.create_model(ModelName="credit", ExecutionRoleArn=server, PrimaryContainer=container)
    sagemaker.delete_model(ModelName="credit")
    for act in (sagemaker.describe_model, sagemaker.delete_model):
        with pytest.raises(ClientError, match=r'Could not find model "arn:aws:sagemaker:.*:model/credit"'):
            act(ModelName="credit")
    assert sagemaker.list_models()["Models"] == []


def test_a_role_that_does_not_exist_or_does_not_trust_sagemaker_is_refused(
    sagemaker: Any, environment: AwsEnvironment, emulator: AwsEmulator, container: dict[str, Any]
) -> None:
    emulator.policy.put(environment.identities["deployer"], "any", [Statement("allow", ("iam:PassRole",))])
    for role in ("arn:aws:iam::111122223333:role/nobody", environment.identities["deployer"]):
        with pytest.raises(ClientError) as caught:
            sagemaker.create_model(ModelName="credit", ExecutionRoleArn=role, PrimaryContainer=container)
        assert _message(caught).startswith(f"ValidationException: Could not assume role {role}. Please ensure that")


def test_a_role_that_the_caller_may_not_pass_is_refused(
    sagemaker: Any, environment: AwsEnvironment, container: dict[str, Any]
) -> None:
    role = environment.identities["approver"]
    with pytest.raises(ClientError) as caught:
        sagemaker.create_model(ModelName="credit", ExecutionRoleArn=role, PrimaryContainer=container)
    assert _message(caught) == (
        "AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/mlinfra-deployer/emulated is not "
        f"authorized to perform: iam:PassRole on resource: {role} because no identity-based policy allows the "
        "iam:PassRole action"
    )


def test_model_data_must_be_there_and_readable_by_the_role(
    sagemaker: Any, emulator: AwsEmulator, server: str, container: dict[str, Any], bucket: str
) -> None:
    with pytest.raises(ClientError, match=f"Could not find model data at s3://{bucket}/artefacts/none.tar.gz"):
        sagemaker.create_model(
            ModelName="a",
            ExecutionRoleArn=server,
            PrimaryContainer={**container, "ModelDataUrl": f"s3://{bucket}/artefacts/none.tar.gz"},
        )
    with (
        emulator.policy.without(server, "s3:GetObject"),
        pytest.raises(ClientError, match=r"Could not access model data at .* has \"s3:GetObject\" permissions"),
    ):
        sagemaker.create_model(ModelName="a", ExecutionRoleArn=server, PrimaryContainer=container)
    prefix = {"S3Uri": f"s3://{bucket}/artefacts/none/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    with pytest.raises(ClientError, match="Could not find model data"):
        sagemaker.create_model(
            ModelName="a",
            ExecutionRoleArn=server,
            PrimaryContainer={"Image": container["Image"], "ModelDataSource": {"S3DataSource": prefix}},
        )


def test_an_image_of_another_account_may_not_be_pulled(sagemaker: Any, server: str, container: dict[str, Any]) -> None:
    image = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/theirs:1"
    with pytest.raises(ClientError) as caught:
        sagemaker.create_model(ModelName="a", ExecutionRoleArn=server, PrimaryContainer={**container, "Image": image})
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_container_says_what_it_runs_in_one_way(sagemaker: Any, server: str, container: dict[str, Any]) -> None:
    for containers in ({}, {"PrimaryContainer": container, "Containers": [container]}):
        with pytest.raises(ClientError, match="Exactly one of PrimaryContainer and Containers"):
            sagemaker.create_model(ModelName="a", ExecutionRoleArn=server, **containers)
    with pytest.raises(ClientError, match="needs one of Image and ModelPackageName"):
        sagemaker.create_model(ModelName="a", ExecutionRoleArn=server, PrimaryContainer={})
    with pytest.raises(ClientError, match="cannot be provided together with ModelPackageName"):
        sagemaker.create_model(
            ModelName="a", ExecutionRoleArn=server, PrimaryContainer={**container, "ModelPackageName": "p/1"}
        )


def test_the_environment_of_all_containers_is_limited(sagemaker: Any, server: str, container: dict[str, Any]) -> None:
    large = {**container, "Environment": {f"K{number}": "v" * 1000 for number in range(33)}}
    with pytest.raises(ClientError, match="must not exceed 32 KB"):
        sagemaker.create_model(ModelName="a", ExecutionRoleArn=server, PrimaryContainer=large)


def test_models_are_listed_in_pages_by_name_and_time(sagemaker: Any, server: str, container: dict[str, Any]) -> None:
    names = [f"credit-{number:02}" for number in range(12)] + ["other"]
    for name in names:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=server, PrimaryContainer=container)
    first = sagemaker.list_models()
    assert [each["ModelName"] for each in first["Models"]] == names[::-1][:10]
    paginator = sagemaker.get_paginator("list_models")
    ordered = {"NameContains": "CREDIT", "SortBy": "Name", "SortOrder": "Ascending"}
    pages = list(paginator.paginate(**ordered, PaginationConfig={"PageSize": 5}))
    assert [len(page["Models"]) for page in pages] == [5, 5, 2]
    assert [each["ModelName"] for page in pages for each in page["Models"]] == names[:12]
    middle = sagemaker.describe_model(ModelName="credit-06")["CreationTime"]
    after = sagemaker.list_models(CreationTimeAfter=middle, MaxResults=100)["Models"]
    before = sagemaker.list_models(CreationTimeBefore=middle, MaxResults=100)["Models"]
    assert len(after) + len(before) == len(names) - 1
    with pytest.raises(ClientError, match="Invalid NextToken"):
        sagemaker.list_models(NextToken=first["NextToken"], NameContains="other")
