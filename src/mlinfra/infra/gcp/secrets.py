"""Secrets that jobs read: made empty, filled by people, never seen by the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import ResourceOptions
from pulumi_gcp import secretmanager

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from mlinfra.infra.gcp.configuration import GcpConfiguration
    from mlinfra.infra.gcp.keys import Key


class Secrets(Component):
    """The environment's secrets in Secret Manager, kept in its own region; their names begin alike."""

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them, without values: `gcloud secrets versions add` fills them."""
        super().__init__("gcp:Secrets", name, configuration, options)
        encryption = {"customer_managed_encryption": {"kms_key_name": key.id}} if key else {}
        prefix = f"mlinfra-{configuration.suffix}-"
        replicas = [{"location": configuration.region, **encryption}]
        self.secrets = {
            secret: secretmanager.Secret(
                self.named(secret),
                secret_id=f"{prefix}{secret}",
                replication={"user_managed": {"replicas": replicas}},
                labels=names.labels(configuration),
                opts=self.guarded(ResourceOptions(depends_on=key.granted if key else [])),
            )
            for secret in configuration.secrets
        }
        self.vault = f"projects/{configuration.account}/secrets/{prefix}"
        self.finish(vault=self.vault)
