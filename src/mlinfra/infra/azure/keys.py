"""The key that encrypts an environment's storage and workspace, and the identity that may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_azure_native import authorization, keyvault, managedidentity

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component, text

if TYPE_CHECKING:
    from mlinfra.infra.azure.configuration import AzureConfiguration
    from mlinfra.infra.azure.secrets import Vault

_USE_KEYS = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User
_BITS = 3072
_ROTATE_AFTER = "P90D"
_EXPIRES_AFTER = "P1Y"
_NAME = "mlinfra"


class Key(Component):
    """An RSA key in the vault that rotates every 90 days; or one that exists, in whatever vault it lies.

    Either way storage and workspace read it in the name of an identity that the stack makes, and that may wrap and
    unwrap with it: by its vault, or, where another's vault holds it, by this one key alone.
    """

    def __init__(
        self, name: str, configuration: AzureConfiguration, *, vault: Vault, options: ResourceOptions | None = None
    ) -> None:
        """Register it, with the identity in whose name storage and workspace read it."""
        super().__init__("azure:Key", name, configuration, options)
        adopted = configuration.adopt.key
        self.name_of_it = adopted.rpartition("/")[2] if adopted else _NAME
        self.vault_id: Output[str] = text(adopted.rpartition("/keys/")[0]) if adopted else vault.id
        self.vault_uri = names.vault_uri(adopted.split("/")[8]) if adopted else vault.uri
        key = self.adopted(keyvault.Key, "key", adopted) if adopted else self._made(vault)
        user = managedidentity.UserAssignedIdentity(
            self.named("user"),
            resource_group_name=configuration.resource_group,
            resource_name_=names.own(configuration, "key"),
            location=configuration.region,
            tags=self.tags,
            opts=self.child(),
        )
        self.use = authorization.RoleAssignment(
            self.named("use"),
            role_assignment_name=names.assignment(configuration, "key", _USE_KEYS),
            principal_id=user.principal_id,
            principal_type="ServicePrincipal",
            role_definition_id=names.role(configuration, _USE_KEYS),
            scope=adopted or vault.id,
            opts=self.child(ResourceOptions(depends_on=[key])),
        )
        self.uri = f"{self.vault_uri}keys/{self.name_of_it}"
        self.identity: Output[str] = user.id
        self.finish(uri=self.uri)

    def _made(self, vault: Vault) -> keyvault.Key:
        rotate = keyvault.LifetimeActionArgs(
            action=keyvault.ActionArgs(type=keyvault.KeyRotationPolicyActionType.ROTATE),
            trigger=keyvault.TriggerArgs(time_after_create=_ROTATE_AFTER),
        )
        return keyvault.Key(
            self.named("key"),
            key_name=_NAME,
            resource_group_name=vault.group,
            vault_name=vault.name_of_it,
            properties=keyvault.KeyPropertiesArgs(
                kty=keyvault.JsonWebKeyType.RSA,
                key_size=_BITS,
                rotation_policy=keyvault.RotationPolicyArgs(
                    attributes=keyvault.KeyRotationPolicyAttributesArgs(expiry_time=_EXPIRES_AFTER),
                    lifetime_actions=[rotate],
                ),
            ),
            tags=self.tags,
            opts=self.guarded(ResourceOptions(depends_on=[vault])),
        )
