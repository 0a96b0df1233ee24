"""Buckets: private, encrypted, versioned, cleaned up by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_gcp import projects, storage

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names
from mlinfra.infra.gcp.configuration import STORES

if TYPE_CHECKING:
    from mlinfra.infra.gcp.configuration import GcpConfiguration
    from mlinfra.infra.gcp.keys import Key

_UNFINISHED_DAYS = 3  # an upload that has not ended by then never will, and costs
_DAY = 86_400
_READS_AND_WRITES = ("DATA_READ", "DATA_WRITE")


class Buckets(Component):
    """The environment's stores by use, and the audit of who reads and writes them where the stage keeps one."""

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them; a bucket that exists is taken as it is."""
        super().__init__("gcp:Buckets", name, configuration, options)
        self._gcp = configuration
        adopted = {str(use) for use in configuration.adopt.buckets}
        self.buckets = {
            use: self.adopted(storage.Bucket, use, names.bucket(configuration, use))
            if use in adopted
            else self._bucket(use, key)
            for use in STORES
        }
        self.stores: dict[str, Output[str]] = {
            use: Output.concat("gs://", bucket.name) for use, bucket in self.buckets.items()
        }
        if self.profile.access_logs:
            self._audit()
        self.finish(stores=self.stores)

    def _bucket(self, use: str, key: Key | None) -> storage.Bucket:
        """One bucket: no list of access control, no public, and the key's grant before the first object."""
        return storage.Bucket(
            self.named(use),
            name=names.bucket(self._gcp, use),
            location=self._gcp.region,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": True},
            soft_delete_policy={"retention_duration_seconds": self.profile.soft_delete_days * _DAY},
            lifecycle_rules=_rules(self.profile.versions_days, self.profile.capture_days if use == "captures" else 0),
            encryption={"default_kms_key_name": key.id} if key else None,
            force_destroy=self.profile.destroy_contents,
            labels=names.labels(self._gcp),
            opts=self.guarded(ResourceOptions(depends_on=key.granted if key else [])),
        )

    def _audit(self) -> None:
        """Access is logged for the whole project, as Google Cloud knows no smaller unit."""
        projects.IAMAuditConfig(
            self.named("audit"),
            project=self._gcp.account,
            service="storage.googleapis.com",
            audit_log_configs=[{"log_type": kind} for kind in _READS_AND_WRITES],
            opts=self.child(),
        )


def _rules(versions_days: int, expires: int) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": _UNFINISHED_DAYS}},
        {"action": {"type": "Delete"}, "condition": {"days_since_noncurrent_time": versions_days}},
    ]
    if expires:
        rules.append({"action": {"type": "Delete"}, "condition": {"age": expires}})
    return rules
