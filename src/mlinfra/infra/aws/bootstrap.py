"""The place of an environment's state on AWS: a bucket with versions, and the key that encrypts it and the secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from mlinfra.infra.automation.bootstrap import Wanted


def declare(wanted: Wanted) -> None:
    """Register it in the running program, and export `backend` and `secrets`.

    Source of the addresses: the engine's documentation of S3 backends and of the `awskms` secrets provider.
    """
    provider = aws.Provider("aws", region=wanted.region, allowed_account_ids=[wanted.account])
    guarded = pulumi.ResourceOptions(provider=provider, protect=wanted.deletion_protection or None)
    free = pulumi.ResourceOptions(provider=provider)
    name = f"mlinfra-state-{wanted.name}"
    tags = dict(wanted.tags)
    key = aws.kms.Key(name, description=name, enable_key_rotation=True, tags=tags, opts=guarded)
    alias = aws.kms.Alias(name, name=f"alias/{name}", target_key_id=key.key_id, opts=free)
    bucket = aws.s3.Bucket(name, tags=tags, opts=guarded)
    aws.s3.BucketVersioning(
        name,
        bucket=bucket.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=free,
    )
    encryption = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="aws:kms", kms_master_key_id=key.arn
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.bucket,
        rules=[
            aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=encryption, bucket_key_enabled=True
            )
        ],
        opts=free,
    )
    aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=free,
    )
    aws.s3.BucketPolicy(name, bucket=bucket.bucket, policy=_tls_only(bucket), opts=free)
    pulumi.export("backend", pulumi.Output.concat("s3://", bucket.bucket, f"?region={wanted.region}&awssdk=v2"))
    pulumi.export("secrets", pulumi.Output.concat("awskms://", alias.name, f"?region={wanted.region}"))


def _tls_only(bucket: aws.s3.Bucket) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
    )
