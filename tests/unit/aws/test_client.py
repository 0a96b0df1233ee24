"""Who we are, whom we reach, and that nothing of this machine gets in between."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.requests import Request
from mlinfra.errors import CapabilityError, NotFound, SpecError
from mlinfra_aws.client import AwsClient, principal_of

if TYPE_CHECKING:
    from mlinfra.environment import AwsEnvironment

ROLE = "arn:aws:sts::111122223333:assumed-role/Data Science/"


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        ("arn:aws:iam::111122223333:user/mara", "arn:aws:iam::111122223333:user/mara"),
        (f"{ROLE}mara@example.com", f"{ROLE}mara@example.com"),
        (f"{ROLE}botocore-session-1700000000", ROLE[:-1]),
        (f"{ROLE}botocore-session-1800000000", ROLE[:-1]),
        (f"{ROLE}i-0123456789abcdef0", ROLE[:-1]),
    ],
)
def test_a_person_has_one_name_at_every_login(told: str, ours: str):
    assert principal_of(told) == ours


def test_an_emulated_environment_reads_nothing_of_this_machine(
    emulated: AwsEnvironment, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIAREALLOOKING00000",
        "AWS_SECRET_ACCESS_KEY": "real-looking",
        "AWS_SESSION_TOKEN": "real-looking",
        "AWS_DEFAULT_REGION": "us-gov-east-1",
        "AWS_ENDPOINT_URL": "https://sagemaker.eu-west-1.amazonaws.com",
        "HTTPS_PROXY": "http://192.0.2.1:3128",
    }.items():
        monkeypatch.setenv(name, value)
    client = AwsClient(emulated)
    frozen = client._session.get_credentials().get_frozen_credentials()
    assert (frozen.access_key, frozen.token) == (emulated.native["credentials"]["access_key_id"], None)
    assert client._client("sagemaker").meta.endpoint_url == emulated.endpoints["sagemaker"]
    assert client._client("sagemaker").meta.region_name == "eu-west-1"
    client.close()


@pytest.mark.parametrize(
    "address", ["https://sagemaker.eu-west-1.amazonaws.com", "http://192.0.2.1", "http://10.0.0.1"]
)
def test_an_emulated_environment_never_leads_beyond_this_machine(emulated: AwsEnvironment, address: str):
    with pytest.raises(SpecError, match="beyond this machine"):
        AwsClient(emulated.model_copy(update={"endpoints": {"sagemaker": address}}))


def test_a_service_that_the_emulator_lacks_is_not_looked_for_elsewhere(emulated: AwsEnvironment):
    client = AwsClient(emulated)
    request = Request(step="x", service="logs", operation="FilterLogEvents", body={"logGroupName": "x"}, effect=False)
    with pytest.raises(CapabilityError, match="no service logs"):
        client.send(request)


def test_an_emulated_environment_without_credentials_is_refused(emulated: AwsEnvironment):
    with pytest.raises(SpecError, match="own credentials"):
        AwsClient(emulated.model_copy(update={"native": {}}))


def test_a_body_that_the_service_would_refuse_is_not_sent(emulated: AwsEnvironment):
    client = AwsClient(emulated)
    body = {"TrainingJobName": "under_scored"}
    with pytest.raises(SpecError, match="pattern"):
        client.send(Request(step="x", service="sagemaker", operation="StopTrainingJob", body=body, repeatable=True))


def test_an_unknown_store_is_named_with_those_there_are(emulated: AwsEnvironment):
    with pytest.raises(NotFound, match="artefacts, data"):
        AwsClient(emulated).store("nobody")


def test_no_module_but_the_client_imports_boto():
    script = (
        "import sys, mlinfra_aws.config, mlinfra_aws.errors, mlinfra_aws.native, mlinfra_aws.observe\n"
        "import mlinfra_aws.render.jobs, mlinfra_aws.render.models, mlinfra_aws.render.endpoints\n"
        "print({'boto3', 'botocore', 'obstore', 'sagemaker'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
