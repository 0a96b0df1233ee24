"""Storage accounts without shared keys: one for what the kit keeps, one with folders for data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_azure_native import storage

from mlinfra.infra.azure import names
from mlinfra.infra.azure.configuration import STORES
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from mlinfra.infra.azure.configuration import AzureConfiguration
    from mlinfra.infra.azure.keys import Key

DATA = "data"


class Account(Component):
    """One storage account: Entra tokens alone, TLS 1.2, nothing public; or one that exists.

    `folders` gives it a hierarchical namespace, which has no versions. `elsewhere` is its id where it lies in another
    resource group than the environment.
    """

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        use: str,
        containers: tuple[str, ...],
        folders: bool = False,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it with its containers."""
        super().__init__("azure:StorageAccount", name, configuration, options)
        self._azure = configuration
        adopted = configuration.adopt.data_account if use == DATA else configuration.adopt.storage_account
        own = (configuration.resource_group, names.compact(configuration, use))
        self.group, self.account = names.place(adopted) if adopted else own
        account = (
            self.adopted(storage.StorageAccount, "account", adopted) if adopted else self._made(key, folders=folders)
        )
        self.id: Output[str] = account.id
        self.elsewhere = adopted if adopted and self.group != configuration.resource_group else ""
        self.containers = {each: self._container(each, account) for each in containers}
        if not adopted:
            self._tidy(account, folders=folders)
        self.finish(account=self.account)

    def _made(self, key: Key | None, *, folders: bool) -> storage.StorageAccount:
        private = self.profile.private_network
        return storage.StorageAccount(
            self.named("account"),
            account_name=self.account,
            resource_group_name=self.group,
            location=self._azure.region,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name="Standard_ZRS" if self.profile.deletion_protection else "Standard_LRS"),
            is_hns_enabled=folders,
            allow_shared_key_access=False,
            allow_blob_public_access=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version="TLS1_2",
            public_network_access="Disabled" if private else "Enabled",
            network_rule_set=storage.NetworkRuleSetArgs(
                default_action=storage.DefaultAction.DENY if private else storage.DefaultAction.ALLOW,
                bypass="AzureServices",
            ),
            identity=_identity(key),
            encryption=_encryption(key),
            tags=self.tags,
            opts=self.guarded(ResourceOptions(depends_on=[key.use] if key else [])),
        )

    def _container(self, name: str, account: storage.StorageAccount) -> Output[str]:
        made = storage.BlobContainer(
            self.named(name),
            account_name=self.account,
            container_name=name,
            resource_group_name=self.group,
            public_access=storage.PublicAccess.NONE,
            opts=self.guarded(ResourceOptions(depends_on=[account])),
        )
        found: Output[str] = made.id
        return found

    def _tidy(self, account: storage.StorageAccount, *, folders: bool) -> None:
        after = self.child(ResourceOptions(depends_on=[account]))
        kept = storage.DeleteRetentionPolicyArgs(enabled=True, days=self.profile.soft_delete_days)
        storage.BlobServiceProperties(
            self.named("blobs"),
            account_name=self.account,
            resource_group_name=self.group,
            blob_services_name="default",
            is_versioning_enabled=not folders,
            delete_retention_policy=kept,
            container_delete_retention_policy=kept,
            opts=after,
        )
        storage.ManagementPolicy(
            self.named("lifecycle"),
            account_name=self.account,
            resource_group_name=self.group,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(rules=self._rules(folders=folders)),
            opts=after,
        )

    def _rules(self, *, folders: bool) -> list[storage.ManagementPolicyRuleArgs]:
        """Old versions go; captures go by age. Unfinished uploads Azure itself removes after a week."""
        old = storage.ManagementPolicyVersionArgs(
            delete=storage.DateAfterCreationArgs(days_after_creation_greater_than=self.profile.versions_days)
        )
        captured = storage.ManagementPolicyBaseBlobArgs(
            delete=storage.DateAfterModificationArgs(days_after_modification_greater_than=self.profile.capture_days)
        )
        stale = storage.ManagementPolicyBaseBlobArgs(
            delete=storage.DateAfterModificationArgs(days_after_modification_greater_than=self.profile.versions_days)
        )
        rules = []
        if not folders:
            rules.append(_rule("old-versions", storage.ManagementPolicyActionArgs(version=old), ""))
        if "captures" in self.containers:
            rules.append(_rule("expiry", storage.ManagementPolicyActionArgs(base_blob=captured), "captures/"))
        return rules or [_rule("trash", storage.ManagementPolicyActionArgs(base_blob=stale), f"{DATA}/.trash/")]


class Stores(Component):
    """The environment's stores by use, over two accounts."""

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("azure:Stores", name, configuration, options)
        self.kept = Account(
            self.named("kept"),
            configuration,
            use="kept",
            containers=tuple(use for use in STORES if use != DATA),
            key=key,
            options=self.child(),
        )
        self.data = Account(
            self.named(DATA),
            configuration,
            use=DATA,
            containers=(DATA,),
            folders=True,
            key=key,
            options=self.child(),
        )
        self.containers = {**self.kept.containers, **self.data.containers}
        accounts = {**dict.fromkeys(self.kept.containers, self.kept), DATA: self.data}
        # What the adapter and `env permissions` could not tell from the address alone.
        self.options = {use: {"account": each.elsewhere} for use, each in accounts.items() if each.elsewhere}
        self.uris = {use: f"https://{accounts[use].account}.blob.core.windows.net/{use}" for use in STORES}
        self.finish(stores=self.uris)


def _identity(key: Key | None) -> storage.IdentityArgs | None:
    if key is None:
        return None
    return storage.IdentityArgs(type=storage.IdentityType.USER_ASSIGNED, user_assigned_identities=[key.identity])


def _encryption(key: Key | None) -> storage.EncryptionArgs | None:
    if key is None:
        return None
    return storage.EncryptionArgs(
        key_source=storage.KeySource.MICROSOFT_KEYVAULT,
        key_vault_properties=storage.KeyVaultPropertiesArgs(key_name=key.name_of_it, key_vault_uri=key.vault_uri),
        encryption_identity=storage.EncryptionIdentityArgs(encryption_user_assigned_identity=key.identity),
        require_infrastructure_encryption=True,
    )


def _rule(name: str, actions: Any, prefix: str) -> storage.ManagementPolicyRuleArgs:
    return storage.ManagementPolicyRuleArgs(
        name=name,
        enabled=True,
        type=storage.RuleType.LIFECYCLE,
        definition=storage.ManagementPolicyDefinitionArgs(
            actions=actions,
            filters=storage.ManagementPolicyFilterArgs(
                blob_types=["blockBlob"], prefix_match=[prefix] if prefix else None
            ),
        ),
    )
