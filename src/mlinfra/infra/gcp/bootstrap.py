"""The place of an environment's state on Google Cloud: a bucket with versions, and the key that encrypts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

if TYPE_CHECKING:
    from mlinfra.infra.automation.bootstrap import Wanted

_ROTATION = "7776000s"  # 90 days


def declare(wanted: Wanted) -> None:
    """Register it in the running program, and export `backend` and `secrets`.

    Source of the addresses: the engine's documentation of `gs` backends and of the `gcpkms` secrets provider.
    """
    provider = gcp.Provider("gcp", project=wanted.account, region=wanted.region)
    guarded = pulumi.ResourceOptions(provider=provider, protect=wanted.deletion_protection or None)
    free = pulumi.ResourceOptions(provider=provider)
    name = f"mlinfra-state-{wanted.name}"
    labels = {key.lower(): value.lower() for key, value in wanted.tags.items()}
    ring = gcp.kms.KeyRing(name, location=wanted.region, opts=guarded)  # names of rings are never free again
    key = gcp.kms.CryptoKey(name, name=name, key_ring=ring.id, rotation_period=_ROTATION, labels=labels, opts=guarded)
    agent = gcp.storage.get_project_service_account_output(
        project=wanted.account, opts=pulumi.InvokeOutputOptions(provider=provider)
    )
    grant = gcp.kms.CryptoKeyIAMMember(
        name,
        crypto_key_id=key.id,
        role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
        member=pulumi.Output.concat("serviceAccount:", agent.email_address),
        opts=free,
    )
    bucket = gcp.storage.Bucket(
        name,
        name=f"{wanted.account}-{name}",
        location=wanted.region,
        labels=labels,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning=gcp.storage.BucketVersioningArgs(enabled=True),
        encryption=gcp.storage.BucketEncryptionArgs(default_kms_key_name=key.id),
        opts=pulumi.ResourceOptions.merge(guarded, pulumi.ResourceOptions(depends_on=[grant])),
    )
    pulumi.export("backend", pulumi.Output.concat("gs://", bucket.name))
    pulumi.export("secrets", pulumi.Output.concat("gcpkms://", key.id))
