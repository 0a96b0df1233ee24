"""The place of a state: kept in versions, encrypted with a key that turns, open to nobody, told as the engine asks."""

from __future__ import annotations

from importlib import import_module

import pytest

from mlinfra.emulator.providers.mocks import Registrations, run
from mlinfra.infra.automation.bootstrap import Wanted

TAGS = {"Team": "Risk", "mlinfra_environment": "risk-prod"}
PLACES = {
    "aws": ("eu-west-1", "111122223333"),
    "azure": ("westeurope", "00000000-0000-4000-8000-000000000001"),
    "gcp": ("europe-west4", "acme-risk"),
}
GUARDED = {
    "aws": {"aws:s3/bucket:Bucket", "aws:kms/key:Key"},
    "azure": {
        "azure-native:resources:ResourceGroup",
        "azure-native:storage:StorageAccount",
        "azure-native:storage:BlobContainer",
        "azure-native:keyvault:Vault",
        "azure-native:keyvault:Key",
    },
    "gcp": {"gcp:storage/bucket:Bucket", "gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey"},
}


def declared(platform: str, *, prod: bool = True) -> Registrations:
    region, account = PLACES[platform]
    wanted = Wanted("risk-prod", region, account, TAGS, deletion_protection=prod)
    declare = import_module(f"mlinfra.infra.{platform}.bootstrap").declare
    return run(lambda: declare(wanted), config={"gcp:project": account} if platform == "gcp" else None)


@pytest.mark.parametrize("platform", sorted(PLACES))
def test_what_holds_a_state_is_protected_in_prod_alone(platform: str):
    protected = {each.token for each in declared(platform).all if each.protect}
    assert protected == GUARDED[platform]
    assert not any(each.protect for each in declared(platform, prod=False).all)


@pytest.mark.parametrize("platform", sorted(PLACES))
def test_every_resource_is_the_named_providers(platform: str):
    made = [each for each in declared(platform).all if each.custom and not each.token.startswith("pulumi:")]
    assert made
    assert {each.provider for each in made} == {"azure-native" if platform == "azure" else platform}


@pytest.mark.parametrize(
    ("platform", "backend", "secrets"),
    [
        ("aws", "s3://mlinfra-state-risk-prod-", "awskms://alias/mlinfra-state-risk-prod?region=eu-west-1"),
        ("azure", "azblob://state?storage_account=mls", "azurekeyvault://mls"),
        ("gcp", "gs://acme-risk-mlinfra-state-risk-prod", "gcpkms://projects/acme-risk/locations/europe-west4/"),
    ],
)
def test_the_engine_is_told_where_the_state_lies_and_what_keeps_its_secrets(platform: str, backend: str, secrets: str):
    exports = declared(platform).exports
    assert exports["backend"].startswith(backend)
    assert exports["secrets"].startswith(secrets)


def test_versions_are_kept():
    (versioning,) = declared("aws").of("aws:s3/bucketVersioning:BucketVersioning")
    assert versioning.inputs["versioningConfiguration"] == {"status": "Enabled"}
    (blobs,) = declared("azure").of("azure-native:storage:BlobServiceProperties")
    assert blobs.inputs["isVersioningEnabled"]
    (bucket,) = declared("gcp").of("gcp:storage/bucket:Bucket")
    assert bucket.inputs["versioning"] == {"enabled": True}


def test_google_clouds_ring_has_no_name_that_an_earlier_one_took():
    (ring,) = declared("gcp").of("gcp:kms/keyRing:KeyRing")
    (key,) = declared("gcp").of("gcp:kms/cryptoKey:CryptoKey")
    assert ring.inputs["name"] != "mlinfra-state-risk-prod"
    assert key.inputs["rotationPeriod"] == "7776000s"
