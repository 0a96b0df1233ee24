"""Endpoint configurations: what is kept, what is refused, in whose words."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.thorough
STANDARD = {"VariantName": "main", "ModelName": "good", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS = {
    "VariantName": "main",
    "ModelName": "good",
    "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
}
FILES = {"S3DataType": "S3Prefix", "CompressionType": "None"}


def create(hosting, *variants, **members):
    return hosting.sagemaker.create_endpoint_config(
        EndpointConfigName="first", ProductionVariants=list(variants) or [STANDARD], **members
    )


def test_a_configuration_is_described_listed_and_deleted(hosting):
    arn = create(hosting, Tags=[{"Key": "mlinfra_id", "Value": "1"}])["EndpointConfigArn"]
    told = hosting.sagemaker.describe_endpoint_config(EndpointConfigName="first")
    assert told["ProductionVariants"] == [{**STANDARD, "InitialVariantWeight": 1.0}]
    assert (told["EndpointConfigArn"], arn) == (arn, "arn:aws:sagemaker:eu-west-1:111122223333:endpoint-config/first")
    hosting.config("second")
    listed = hosting.sagemaker.list_endpoint_configs(SortBy="Name", SortOrder="Ascending")["EndpointConfigs"]
    assert [each["EndpointConfigName"] for each in listed] == ["first", "second"]
    assert hosting.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "mlinfra_id", "Value": "1"}]
    assert arn in hosting.emulator.leftovers()
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName="first")
    assert arn not in hosting.emulator.leftovers()
    for call in (hosting.sagemaker.describe_endpoint_config, hosting.sagemaker.delete_endpoint_config):
        with pytest.raises(ClientError, match=f'Could not find endpoint configuration "{arn}".'):
            call(EndpointConfigName="first")


def test_a_name_that_is_taken_and_a_model_that_is_not_there(hosting):
    create(hosting)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration") as caught:
        create(hosting)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(
        ClientError, match='Could not find model "arn:aws:sagemaker:eu-west-1:111122223333:model/nobody"'
    ):
        hosting.config("second", {"ModelName": "nobody"})


@pytest.mark.parametrize(
    ("variants", "members", "words"),
    [
        ([STANDARD, STANDARD], {}, "must be unique"),
        ([{**STANDARD, "InstanceType": "ml.none.large"}], {}, "enum value set"),
        ([{"VariantName": "main", "ModelName": "good"}], {}, "InstanceType and InitialInstanceCount must be specified"),
        ([{**SERVERLESS, "InstanceType": "ml.m5.large"}], {}, "cannot have both"),
        ([{**SERVERLESS, "ServerlessConfig": {"MemorySizeInMB": 2000, "MaxConcurrency": 5}}], {}, "MemorySizeInMB"),
        (
            [
                {
                    **SERVERLESS,
                    "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5, "ProvisionedConcurrency": 6},
                }
            ],
            {},
            "less than or equal to MaxConcurrency",
        ),
        (
            [STANDARD],
            {"ShadowProductionVariants": [STANDARD | {"VariantName": "a"}, STANDARD | {"VariantName": "b"}]},
            "exactly one",
        ),
        ([STANDARD], {"AsyncInferenceConfig": {"OutputConfig": {}}}, "S3OutputPath must be specified"),
        ([{**STANDARD, "ContainerStartupHealthCheckTimeoutInSeconds": 3601}], {}, "less than or equal to 3600"),
    ],
)
def test_what_contradicts_itself_is_refused(hosting, variants, members, words):
    with pytest.raises(ClientError, match=words) as caught:
        create(hosting, *variants, **members)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_model_of_files_is_not_for_serverless_endpoints(hosting):
    model, uri = hosting.sagemaker.describe_model(ModelName="good"), f"{hosting.upload('x').rpartition('/')[0]}/"
    data = {"ModelDataSource": {"S3DataSource": {**FILES, "S3Uri": uri}}}
    container = {"Image": model["PrimaryContainer"]["Image"], **data}
    hosting.sagemaker.create_model(
        ModelName="files", PrimaryContainer=container, ExecutionRoleArn=model["ExecutionRoleArn"]
    )
    hosting.config("second", {"ModelName": "files"})
    with pytest.raises(ClientError, match="ModelDataSource") as caught:
        create(hosting, {**SERVERLESS, "ModelName": "files"})
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("variant", "members"),
    [
        ({"ModelName": None}, {}),
        ({"InstancePools": [{"InstanceType": "ml.m5.large", "Priority": 1}]}, {}),
        (
            {},
            {
                "AsyncInferenceConfig": {
                    "OutputConfig": {
                        "S3OutputPath": "s3://bucket/out",
                        "NotificationConfig": {"ErrorTopic": "arn:aws:sns:eu-west-1:111122223333:topic"},
                    }
                }
            },
        ),
    ],
)
def test_what_is_not_emulated_says_so(hosting, variant, members):
    whole = {name: value for name, value in {**STANDARD, **variant}.items() if value is not None}
    with pytest.raises(ClientError) as caught:
        create(hosting, whole, **members)
    assert caught.value.response["Error"]["Code"] == "NotEmulated"


def test_an_image_without_a_server_is_not_emulated(hosting):
    hosting.sagemaker.create_model(
        ModelName="train",
        ExecutionRoleArn=hosting.environment.identities["server"],
        PrimaryContainer={"Image": hosting.environment.images["base"].uri},
    )
    hosting.config("train", {"ModelName": "train"})
    with pytest.raises(ClientError, match="whose server is not at hand, is not emulated"):
        hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="train")
    assert hosting.sagemaker.list_endpoints()["Endpoints"] == []


def test_an_endpoint_needs_its_configuration_and_a_free_name(hosting):
    missing = 'Could not find endpoint configuration "arn:aws:sagemaker:eu-west-1:111122223333:endpoint-config/nobody".'
    with pytest.raises(ClientError, match=missing):
        hosting.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="nobody")
    create(hosting)
    hosting.endpoint("ep", "first")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        hosting.sagemaker.create_endpoint(EndpointName="EP", EndpointConfigName="first")
    for call in (hosting.sagemaker.describe_endpoint, hosting.sagemaker.delete_endpoint):
        with pytest.raises(
            ClientError, match='Could not find endpoint "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/x"'
        ):
            call(EndpointName="x")


def test_endpoints_are_listed_by_their_filters(hosting):
    create(hosting)
    hosting.endpoint("one", "first")
    hosting.endpoint("two", "first")

    def names(**asked):
        return [each["EndpointName"] for each in hosting.sagemaker.list_endpoints(**asked)["Endpoints"]]

    assert names() == ["two", "one"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["one", "two"]
    assert names(NameContains="tw") == ["two"]
    assert names(StatusEquals="Failed") == []
    assert names(StatusEquals="InService", MaxResults=1) == ["two"]
    pages = hosting.sagemaker.get_paginator("list_endpoints").paginate(PaginationConfig={"PageSize": 1})
    assert [each["EndpointName"] for page in pages for each in page["Endpoints"]] == ["two", "one"]


def test_a_role_without_the_permission_may_do_neither(hosting, client):
    stranger = client("sagemaker", "approver")
    with pytest.raises(ClientError, match="sagemaker:CreateEndpointConfig") as caught:
        stranger.create_endpoint_config(EndpointConfigName="first", ProductionVariants=[STANDARD])
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
