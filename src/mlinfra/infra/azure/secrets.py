"""The vault: secrets that jobs read, filled by people, and the environment's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_azure_native import keyvault

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Output, ResourceOptions

    from mlinfra.infra.azure.configuration import AzureConfiguration


class Vault(Component):
    """A Key Vault with rights by role and no access policies; or one that exists.

    Azure has no empty secret, so none is made: `az keyvault secret set` brings them.
    """

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("azure:Vault", name, configuration, options)
        self._azure = configuration
        adopted = configuration.adopt.key_vault
        vault = self.adopted(keyvault.Vault, "vault", adopted) if adopted else self._made()
        self.id: Output[str] = vault.id
        own = (configuration.resource_group, names.compact(configuration, "vault"))
        self.group, self.name_of_it = names.place(adopted) if adopted else own
        self.uri = names.vault_uri(self.name_of_it)
        self.finish(uri=self.uri)

    def _made(self) -> keyvault.Vault:
        """A workspace's own key asks for purge protection, so that it holds wherever keys are one's own."""
        private = self.profile.private_network
        return keyvault.Vault(
            self.named("vault"),
            vault_name=names.compact(self._azure, "vault"),
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=self._azure.tenant,
                sku=keyvault.SkuArgs(family="A", name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=self.profile.soft_delete_days,
                enable_purge_protection=True if self.profile.customer_keys else None,
                public_network_access="Disabled" if private else "Enabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action="Deny" if private else "Allow", bypass="AzureServices"
                ),
            ),
            tags=self.tags,
            opts=self.guarded(),
        )
