"""The place of a state: kept in versions, encrypted with a key that turns, open to nobody, told as the engine asks."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from mlinfra.emulator.providers import introspect
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


def test_on_aws_it_is_encrypted_with_its_own_key_and_open_to_nobody():
    found = declared("aws")
    (key,), (bucket,) = found.of("aws:kms/key:Key"), found.of("aws:s3/bucket:Bucket")
    assert key.inputs["enableKeyRotation"] is True
    (encryption,) = found.of("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    with_ours = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key.outputs["arn"]}
    assert encryption.inputs["rules"] == [{"applyServerSideEncryptionByDefault": with_ours, "bucketKeyEnabled": True}]
    (block,) = found.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert block.inputs == {
        "bucket": bucket.inputs["bucket"],
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    (policy,) = found.of("aws:s3/bucketPolicy:BucketPolicy")
    (statement,) = json.loads(policy.inputs["policy"])["Statement"]
    assert statement == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket.outputs["arn"], f"{bucket.outputs['arn']}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_on_azure_it_takes_entra_tokens_over_tls_alone_and_keeps_what_is_deleted():
    found = declared("azure")
    (account,) = found.of("azure-native:storage:StorageAccount")
    closed = {
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "enableHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
    }
    assert {key: account.inputs[key] for key in closed} == closed
    (blobs,) = found.of("azure-native:storage:BlobServiceProperties")
    assert blobs.inputs["deleteRetentionPolicy"] == {"enabled": True, "days": 90}
    (vault,) = found.of("azure-native:keyvault:Vault")
    kept = {"enableRbacAuthorization": True, "enablePurgeProtection": True, "softDeleteRetentionInDays": 90}
    assert {key: vault.inputs["properties"][key] for key in kept} == kept


def test_on_google_cloud_it_is_encrypted_with_its_own_key_and_open_to_nobody():
    found = declared("gcp")
    (bucket,), (grant,) = (
        found.of("gcp:storage/bucket:Bucket"),
        found.of("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"),
    )
    key = grant.inputs["cryptoKeyId"]
    assert key.startswith("projects/acme-risk/locations/europe-west4/keyRings/")
    assert bucket.inputs["encryption"] == {"defaultKmsKeyName": key}
    assert (bucket.inputs["uniformBucketLevelAccess"], bucket.inputs["publicAccessPrevention"]) == (True, "enforced")
    assert grant.inputs["role"] == "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    assert grant.inputs["member"].endswith("@gs-project-accounts.iam.gserviceaccount.com")
    assert grant.name in bucket.depends_on


@pytest.mark.parametrize("platform", sorted(PLACES))
def test_whatever_takes_tags_has_the_environments(platform: str):
    kind = "labels" if platform == "gcp" else "tags"
    wanted = {"team": "risk", "mlinfra_environment": "risk-prod"} if platform == "gcp" else TAGS
    made = [each for each in declared(platform).all if each.custom and not each.token.startswith("pulumi:")]
    bearing = [each for each in made if kind in introspect.members(introspect.arguments_class(each.token))]
    assert bearing
    assert {each.name: each.token for each in bearing if each.inputs.get(kind) != wanted} == {}


def test_google_clouds_ring_has_no_name_that_an_earlier_one_took():
    (ring,) = declared("gcp").of("gcp:kms/keyRing:KeyRing")
    (key,) = declared("gcp").of("gcp:kms/cryptoKey:CryptoKey")
    assert ring.inputs["name"] != "mlinfra-state-risk-prod"
    assert key.inputs["rotationPeriod"] == "7776000s"
