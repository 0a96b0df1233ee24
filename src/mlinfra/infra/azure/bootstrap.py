"""The place of an environment's state on Azure: a container with versions, and the vault's key for the secrets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pulumi
import pulumi_azure_native as azure

if TYPE_CHECKING:
    from mlinfra.infra.automation.bootstrap import Wanted

_SOFT_DELETE_DAYS = 90
_CONTAINER = "state"


def declare(wanted: Wanted) -> None:
    """Register it in the running program, and export `backend` and `secrets`.

    Names of accounts and vaults are unique in the whole cloud: they end with digits of subscription and environment.
    Source of the addresses: the engine's documentation of `azblob` backends and of the `azurekeyvault` provider.
    """
    provider = azure.Provider("azure-native", subscription_id=wanted.account, location=wanted.region)
    guarded = pulumi.ResourceOptions(provider=provider, protect=wanted.deletion_protection or None)
    free = pulumi.ResourceOptions(provider=provider)
    name = f"mlinfra-state-{wanted.name}"
    short = f"mls{hashlib.sha256(f'{wanted.account}:{wanted.name}'.encode()).hexdigest()[:17]}"
    tags = dict(wanted.tags)
    group = azure.resources.ResourceGroup(
        name, resource_group_name=name, location=wanted.region, tags=tags, opts=guarded
    )
    account = azure.storage.StorageAccount(
        name,
        account_name=short,
        resource_group_name=group.name,
        kind="StorageV2",
        sku=azure.storage.SkuArgs(name="Standard_ZRS"),
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        enable_https_traffic_only=True,
        minimum_tls_version="TLS1_2",
        tags=tags,
        opts=guarded,
    )
    azure.storage.BlobServiceProperties(
        name,
        account_name=account.name,
        resource_group_name=group.name,
        blob_services_name="default",
        is_versioning_enabled=True,
        delete_retention_policy=azure.storage.DeleteRetentionPolicyArgs(enabled=True, days=_SOFT_DELETE_DAYS),
        opts=free,
    )
    azure.storage.BlobContainer(
        name, account_name=account.name, resource_group_name=group.name, container_name=_CONTAINER, opts=guarded
    )
    vault, key = _key(name, short, wanted, group, guarded)
    pulumi.export("backend", pulumi.Output.concat(f"azblob://{_CONTAINER}?storage_account=", account.name))
    pulumi.export("secrets", pulumi.Output.concat("azurekeyvault://", vault.name, ".vault.azure.net/keys/", key.name))


def _key(
    name: str, short: str, wanted: Wanted, group: azure.resources.ResourceGroup, guarded: pulumi.ResourceOptions
) -> tuple[azure.keyvault.Vault, azure.keyvault.Key]:
    client = azure.authorization.get_client_config_output(opts=pulumi.InvokeOutputOptions(provider=guarded.provider))
    vault = azure.keyvault.Vault(
        name,
        vault_name=short,
        resource_group_name=group.name,
        properties=azure.keyvault.VaultPropertiesArgs(
            tenant_id=client.tenant_id,
            sku=azure.keyvault.SkuArgs(family="A", name=azure.keyvault.SkuName.STANDARD),
            enable_rbac_authorization=True,
            enable_purge_protection=True,
            soft_delete_retention_in_days=_SOFT_DELETE_DAYS,
        ),
        tags=dict(wanted.tags),
        opts=guarded,
    )
    key = azure.keyvault.Key(
        name,
        key_name=_CONTAINER,
        vault_name=vault.name,
        resource_group_name=group.name,
        properties=azure.keyvault.KeyPropertiesArgs(kty="RSA", key_size=3072),
        tags=dict(wanted.tags),
        opts=guarded,
    )
    return vault, key
