"""The workspace, which is Azure's registry of models, and a registry shared between workspaces where asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_azure_native import machinelearningservices as ml

from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration
    from mlinfra.infra.azure.images import Images
    from mlinfra.infra.azure.keys import Key
    from mlinfra.infra.azure.secrets import Vault
    from mlinfra.infra.azure.storage import Stores


class Workspace(Component):
    """A workspace over the environment's own storage, vault, registry and telemetry; or one that exists.

    Where the stage is private its managed network lets nothing out but to Azure and to what a rule names.
    """

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        stores: Stores,
        vault: Vault,
        images: Images,
        insights: Input[str],
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it."""
        super().__init__("azure:Workspace", name, configuration, options)
        self._azure = configuration
        adopted = configuration.adopt.workspace
        if adopted:
            workspace = self.adopted(ml.Workspace, "workspace", adopted)
        else:
            workspace = self._made(stores, vault, images, insights, key)
            self._outbound(workspace)
        self.workspace = workspace
        self.id: Output[str] = workspace.id
        self.finish(id=self.id)

    def _made(
        self, stores: Stores, vault: Vault, images: Images, insights: Input[str], key: Key | None
    ) -> ml.Workspace:
        private = self.profile.private_network
        return ml.Workspace(
            self.named("workspace"),
            workspace_name=self._azure.workspace,
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            kind="Default",
            sku=ml.SkuArgs(name="Basic", tier=ml.SkuTier.BASIC),
            identity=ml.ManagedServiceIdentityArgs(
                type="SystemAssigned,UserAssigned" if key else "SystemAssigned",
                user_assigned_identities=[key.identity] if key else None,
            ),
            storage_account=stores.kept.id,
            key_vault=vault.id,
            container_registry=images.id,
            application_insights=insights,
            system_datastores_auth_mode="Identity",
            public_network_access="Disabled" if private else "Enabled",
            managed_network=ml.ManagedNetworkSettingsArgs(
                isolation_mode="AllowOnlyApprovedOutbound" if private else "Disabled"
            ),
            encryption=_encryption(key),
            tags=self.tags,
            opts=self.guarded(ResourceOptions(depends_on=[key.use] if key else [])),
        )

    def _outbound(self, workspace: ml.Workspace) -> None:
        """Jobs that install packages reach their index by name, and nothing beside it."""
        if not self.profile.private_network:
            return
        for number, host in enumerate(self._azure.network.hosts):
            ml.ManagedNetworkSettingsRule(
                self.named(f"host-{number + 1}"),
                rule_name=f"host-{number + 1}",
                workspace_name=self._azure.workspace,
                resource_group_name=self._azure.resource_group,
                properties=ml.FqdnOutboundRuleArgs(type="FQDN", destination=host, category="UserDefined"),
                opts=self.child(ResourceOptions(depends_on=[workspace])),
            )


class SharedRegistry(Component):
    """A registry in which models and images are shared between workspaces, with parts that Azure itself keeps."""

    def __init__(
        self, name: str, configuration: AzureConfiguration, *, registry: str, options: ResourceOptions | None = None
    ) -> None:
        """Register it."""
        super().__init__("azure:SharedRegistry", name, configuration, options)
        kept = ml.SystemCreatedStorageAccountArgs(
            storage_account_type="Standard_LRS", allow_blob_public_access=False, storage_account_hns_enabled=False
        )
        self.registry = ml.Registry(
            self.named("registry"),
            registry_name=f"{registry}-{configuration.suffix}",
            resource_group_name=configuration.resource_group,
            location=configuration.region,
            identity=ml.ManagedServiceIdentityArgs(type="SystemAssigned"),
            public_network_access="Disabled" if self.profile.private_network else "Enabled",
            region_details=[
                ml.RegistryRegionArmDetailsArgs(
                    location=configuration.region,
                    acr_details=[
                        ml.AcrDetailsArgs(
                            system_created_acr_account=ml.SystemCreatedAcrAccountArgs(acr_account_sku="Premium")
                        )
                    ],
                    storage_account_details=[ml.StorageAccountDetailsArgs(system_created_storage_account=kept)],
                )
            ],
            tags=self.tags,
            opts=self.guarded(),
        )
        self.name_of_it = f"{registry}-{configuration.suffix}"
        self.finish(registry=self.name_of_it)


def _encryption(key: Key | None) -> ml.EncryptionPropertyArgs | None:
    if key is None:
        return None
    return ml.EncryptionPropertyArgs(
        status=ml.EncryptionStatus.ENABLED,
        key_vault_properties=ml.KeyVaultPropertiesArgs(
            key_identifier=key.uri, key_vault_arm_id=key.vault_id, identity_client_id=None
        ),
        identity=ml.IdentityForCmkArgs(user_assigned_identity=key.identity),
    )
