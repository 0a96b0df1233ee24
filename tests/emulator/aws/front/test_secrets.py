"""Secrets, and the address at which a container finds its role's keys: with the vendor's own client."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

from mlinfra.emulator.aws.identity.metadata import PATH
from mlinfra.emulator.policy import Statement

pytestmark = pytest.mark.thorough


@pytest.fixture
def vault(environment, emulator, client):
    """A secret in the environment's vault, and one beside it."""
    emulator.policy.put(environment.identities["deployer"], "secrets", [Statement("allow", ("secretsmanager:*",))])
    secrets = client("secretsmanager")
    for name in ("mlinfra/aws-emulated/risk-db", "of-somebody-else"):
        secrets.create_secret(Name=name, SecretString=f"value of {name}")
    return "mlinfra/aws-emulated/risk-db"


def as_the_trainer(emulator, environment, monkeypatch):
    address = emulator.container_credentials.address(environment.identities["trainer"])
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
    session = boto3.Session(region_name=emulator.region)
    return address, session.client("secretsmanager", endpoint_url=emulator.url)


def test_the_vendors_client_finds_the_roles_keys_there_and_reads_what_the_role_may(
    emulator, environment, vault, monkeypatch
):
    _, secrets = as_the_trainer(emulator, environment, monkeypatch)
    assert secrets.get_secret_value(SecretId=vault)["SecretString"] == f"value of {vault}"
    with pytest.raises(ClientError) as caught:
        secrets.get_secret_value(SecretId="of-somebody-else")
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_secret_is_named_in_policies_with_the_six_characters_that_nobody_chooses(
    emulator, environment, client, vault
):
    arn = client("secretsmanager").describe_secret(SecretId=vault)["ARN"]
    assert len(arn) == len(f"arn:aws:secretsmanager:eu-west-1:{environment.account}:secret:{vault}-abcdef")
    trainer = environment.identities["trainer"]
    assert emulator.policy.decide(trainer, "secretsmanager:GetSecretValue", arn, {}).allowed


def test_an_address_that_was_taken_back_or_never_was_tells_nothing(emulator, environment, monkeypatch):
    address, _ = as_the_trainer(emulator, environment, monkeypatch)
    emulator.container_credentials.take_back(address)
    for url in (address, f"{emulator.url}{PATH}0"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(url)  # noqa: S310  the emulator's own address
