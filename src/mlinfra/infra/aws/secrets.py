"""Secrets that jobs read: made empty, filled by people, never seen by the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import secretsmanager

from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

_GONE_AT_ONCE = 0  # days


class Secrets(Component):
    """The environment's vault in Secrets Manager: a prefix, and the secrets below it."""

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        key: Input[str] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them, without values: `aws secretsmanager put-secret-value` fills them."""
        super().__init__("aws:Secrets", name, configuration, options)
        self.prefix = f"mlinfra/{configuration.name}-{configuration.suffix}/"
        kept = _GONE_AT_ONCE if self.profile.destroy_contents else self.profile.key_deletion_days
        self.secrets = {
            secret: secretsmanager.Secret(
                self.named(secret),
                name=f"{self.prefix}{secret}",
                description="Filled by hand; read by the environment's jobs",
                kms_key_id=key,
                recovery_window_in_days=kept,
                tags=self.tags,
                opts=self.guarded(),
            )
            for secret in configuration.secrets
        }
        self.arns = names.arn(configuration, "secretsmanager", f"secret:{self.prefix}*")
        self.finish(prefix=self.prefix)
