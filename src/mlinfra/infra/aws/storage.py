"""Buckets: private, encrypted, versioned, cleaned up by themselves, reached by TLS alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_aws import s3

from mlinfra.infra.aws import names
from mlinfra.infra.aws.configuration import STORES
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.aws.configuration import AwsConfiguration

ACCESS_LOGS = "access-logs"
_UNFINISHED_DAYS = 3  # an upload that has not ended by then never will, and costs


class Bucket(Component):
    """One bucket with everything that makes it safe.

    `key` encrypts it, None leaves S3's own. `expires` are the days after which objects go, 0 for never. `logs` is the
    bucket that keeps its access log.
    """

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        use: str,
        key: Input[str] | None = None,
        expires: int = 0,
        logs: Bucket | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it; one that exists is taken as it is, with no child but itself."""
        super().__init__("aws:Bucket", name, configuration, options)
        self.use = use
        self._aws = configuration
        adopted = {str(kind): bucket for kind, bucket in configuration.adopt.buckets.items()}.get(use)
        if adopted:
            self.bucket = self.adopted(s3.Bucket, "bucket", adopted)
        else:
            self.bucket = self._made()
            self._close()
            self._encrypt(key)
            self._tidy(expires)
            if logs is not None:
                self._log_to(logs)
        self.id: Output[str] = self.bucket.id
        self.arn: Output[str] = self.bucket.arn
        self.uri: Output[str] = Output.concat("s3://", self.bucket.id)
        self.finish(uri=self.uri)

    def _made(self) -> s3.Bucket:
        return s3.Bucket(
            self.named("bucket"),
            bucket=names.bucket(self._aws, self.use),
            force_destroy=self.profile.destroy_contents,
            tags=self.tags,
            opts=self.guarded(),
        )

    def _close(self) -> None:
        """Nobody but the account's own principals, no lists of access control, no plain HTTP."""
        s3.BucketOwnershipControls(
            self.named("ownership"),
            bucket=self.bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.child(),
        )
        block = s3.BucketPublicAccessBlock(
            self.named("public-access"),
            bucket=self.bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        s3.BucketPolicy(
            self.named("policy"),
            bucket=self.bucket.id,
            policy=self.bucket.arn.apply(lambda arn: json.dumps(_policy(self._aws, self.use, arn))),
            opts=self.child(_after(block)),
        )

    def _encrypt(self, key: Input[str] | None) -> None:
        """A bucket key makes one request to KMS out of many, which is most of what KMS would cost."""
        rule = (
            {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
            if key is None
            else {
                "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key},
                "bucket_key_enabled": True,
            }
        )
        s3.BucketServerSideEncryptionConfiguration(
            self.named("encryption"), bucket=self.bucket.id, rules=[rule], opts=self.child()
        )

    def _tidy(self, expires: int) -> None:
        versioning = s3.BucketVersioning(
            self.named("versioning"),
            bucket=self.bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=self.child(),
        )
        kept = min(self.profile.versions_days, expires) if expires else self.profile.versions_days
        rules = [
            {
                "id": "unfinished-uploads",
                "status": "Enabled",
                "filter": {},
                "abort_incomplete_multipart_upload": {"days_after_initiation": _UNFINISHED_DAYS},
            },
            {
                "id": "old-versions",
                "status": "Enabled",
                "filter": {},
                "noncurrent_version_expiration": {"noncurrent_days": kept},
            },
        ]
        if expires:
            rules.append({"id": "expiry", "status": "Enabled", "filter": {}, "expiration": {"days": expires}})
        s3.BucketLifecycleConfiguration(
            self.named("lifecycle"), bucket=self.bucket.id, rules=rules, opts=self.child(_after(versioning))
        )

    def _log_to(self, logs: Bucket) -> None:
        s3.BucketLogging(
            self.named("logging"),
            bucket=self.bucket.id,
            target_bucket=logs.id,
            target_prefix=f"{self.use}/",
            opts=self.child(),
        )


class Buckets(Component):
    """The environment's stores by use, and the bucket of their access logs where the stage keeps one."""

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        key: Input[str] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("aws:Buckets", name, configuration, options)
        self.access_logs = self._access_logs(configuration) if self.profile.access_logs else None
        expires = {"captures": self.profile.capture_days}
        self.stores = {
            use: Bucket(
                self.named(use),
                configuration,
                use=use,
                key=key,
                expires=expires.get(use, 0),
                logs=self.access_logs,
                options=self.child(),
            )
            for use in STORES
        }
        self.finish(stores={use: bucket.uri for use, bucket in self.stores.items()})

    def _access_logs(self, configuration: AwsConfiguration) -> Bucket:
        """Encrypted by S3 itself: the service that writes the logs cannot use a key of ours."""
        return Bucket(
            self.named(ACCESS_LOGS), configuration, use=ACCESS_LOGS, expires=self.profile.log_days, options=self.child()
        )


def _policy(configuration: AwsConfiguration, use: str, arn: str) -> names.Document:
    everything = [arn, f"{arn}/*"]
    statements = [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": everything,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if use == ACCESS_LOGS:
        statements.append(
            {
                "Sid": "AccessLogs",
                "Effect": "Allow",
                "Principal": names.service("logging.s3"),
                "Action": "s3:PutObject",
                "Resource": f"{arn}/*",
                "Condition": {"StringEquals": {"aws:SourceAccount": configuration.account}},
            }
        )
    return names.policy(*statements)


def _after(resource: s3.BucketPublicAccessBlock | s3.BucketVersioning) -> ResourceOptions:
    return ResourceOptions(depends_on=[resource])
