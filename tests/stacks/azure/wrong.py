"""What no stack of Azure can be configured to be: key, value given, what is allowed."""

from __future__ import annotations

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/acme/providers"
ELSEWHERE = GROUP.replace("0001/", "0009/")
SUBNET = f"{GROUP}/Microsoft.Network/virtualNetworks/hub/subnets/endpoints"
ZONE = f"{GROUP}/Microsoft.Network/privateDnsZones/privatelink.queue.core.windows.net"
ACCOUNT = f"{GROUP}/Microsoft.Storage/storageAccounts/acmerisk"
IDENTITY = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/acme-reader"
ENDPOINT = {"image": "acmerisk.azurecr.io/serving@sha256:0", "model": "credit:3"}

WRONG = {
    "another cloud's region": ({"region": "eu-west-1"}, "mlinfra:region", "westeurope"),
    "a region as people write it": ({"region": "West Europe"}, "mlinfra:region", "westeurope"),
    "a subscription by its name": ({"account": "acme"}, "mlinfra:account", "Subscription id"),
    "a tenant by its domain": ({"tenant": "acme.onmicrosoft.com"}, "mlinfra:tenant", "Tenant id"),
    "a cluster of no machine": ({"clusters": {"cpu": {}}}, "mlinfra:clusters.cpu.machine", "Standard_DS3_v2"),
    "a cluster of another cloud": (
        {"clusters": {"cpu": {"machine": "n2-standard-4"}}},
        "mlinfra:clusters.cpu.machine",
        "VM size",
    ),
    "an endpoint with a capital": ({"endpoints": ["Credit"]}, "mlinfra:endpoints.0", "lower-case"),
    "a way in that Azure does not know": ({"endpoint_auth": "Password"}, "mlinfra:endpoint_auth", "AADToken"),
    "a budget from the middle of a month": ({"budget_start": "2026-01-15"}, "mlinfra:budget_start", "First day"),
    "another cloud": ({"platform": "gcp"}, "mlinfra:platform", "azure"),
    "no tenant": ({"tenant": None}, "mlinfra:tenant", "Tenant id"),
    "a cluster of a thousand and one": (
        {"clusters": {"cpu": {"machine": "Standard_DS3_v2", "most": 1001}}},
        "mlinfra:clusters.cpu.most",
        "less than or equal to 1000",
    ),
    "a cluster that is perhaps spare": (
        {"clusters": {"cpu": {"machine": "Standard_DS3_v2", "spot": "perhaps"}}},
        "mlinfra:clusters.cpu.spot",
        "Spare capacity",
    ),
    "a shared registry with a capital": ({"shared_registry": "Shared"}, "mlinfra:shared_registry", "lower-case"),
    "a whole endpoint's model by its path": (
        {"whole_endpoints": {"credit": {**ENDPOINT, "model": "models/credit"}}},
        "mlinfra:whole_endpoints.credit.model",
        "NAME:VERSION",
    ),
    "a whole endpoint on an AWS type": (
        {"whole_endpoints": {"credit": {**ENDPOINT, "machine": "ml.m5.large"}}},
        "mlinfra:whole_endpoints.credit.machine",
        "VM size",
    ),
    "a whole endpoint of less than no instance": (
        {"whole_endpoints": {"credit": {**ENDPOINT, "scale": {"min": -1}}}},
        "mlinfra:whole_endpoints.credit.scale.min",
        "greater than or equal to 0",
    ),
    "a whole endpoint that scales by no requests": (
        {"whole_endpoints": {"credit": {**ENDPOINT, "scale": {"max": 2, "requests_per_minute": 0}}}},
        "mlinfra:whole_endpoints.credit.scale.requests_per_minute",
        "greater than or equal to 1",
    ),
    "a whole endpoint that scales backwards": (
        {"whole_endpoints": {"credit": {**ENDPOINT, "scale": {"min": 4, "max": 2}}}},
        "mlinfra:whole_endpoints.credit.scale.max",
        "4 or more",
    ),
    "an endpoint of two owners": (
        {"endpoints": ["credit"], "whole_endpoints": {"credit": ENDPOINT}},
        "mlinfra:whole_endpoints.credit",
        "one of mlinfra:endpoints and mlinfra:whole_endpoints",
    ),
    "a subject that is trusted twice": (
        {"trusts": [{"system": "github", "subjects": ["repo:acme/risk:environment:dev"] * 2}]},
        "mlinfra:trusts.0.subjects",
        "each subject once for github",
    ),
    "a group with a space": ({"adopt": {"resource_group": "acme risk"}}, "mlinfra:adopt.resource_group", "by its name"),
    "data in the account of everything else": (
        {"adopt": {"storage_account": ACCOUNT, "data_account": ACCOUNT}},
        "mlinfra:adopt.data_account",
        "another than adopt.storage_account",
    ),
    "an account for data by its name": (
        {"adopt": {"data_account": "acmedata"}},
        "mlinfra:adopt.data_account",
        "Storage",
    ),
    "a key by its address": (
        {"adopt": {"key": "https://acme.vault.azure.net/keys/storage"}},
        "mlinfra:adopt.key",
        "by resource id",
    ),
    "a key of another subscription": (
        {"adopt": {"key": f"{ELSEWHERE}/Microsoft.KeyVault/vaults/acme/keys/storage"}},
        "mlinfra:adopt.key",
        f"one in subscription {SUBSCRIPTION}",
    ),
    "an identity that nobody has": (
        {"adopt": {"identities": {"reader": IDENTITY}}},
        "mlinfra:adopt.identities.reader",
        "trainer",
    ),
    "an identity by its name": (
        {"adopt": {"identities": {"trainer": "acme-trainer"}}},
        "mlinfra:adopt.identities.trainer",
        "User-assigned identities",
    ),
    "a registry by its address": ({"adopt": {"registry": "acme.azurecr.io"}}, "mlinfra:adopt.registry", "resource id"),
    "logs by their name": ({"adopt": {"log_analytics": "acme"}}, "mlinfra:adopt.log_analytics", "Log Analytics"),
    "a zone by its name": (
        {"adopt": {"network": {"subnet": SUBNET, "zones": {"blob": "privatelink.blob.core.windows.net"}}}},
        "mlinfra:adopt.network.zones.blob",
        "by resource id",
    ),
    "a trust in everybody": (
        {"trusts": [{"system": "github", "subjects": ["repo:acme/*"]}]},
        "mlinfra:trusts.0.subjects",
        "a whole `sub` claim",
    ),
    "a prod that tells nobody": ({"stage": "prod", "notify": None}, "mlinfra:notify", "one mail address"),
    "a negative budget": ({"budget": -5}, "mlinfra:budget", "greater than or equal to 0"),
    "a key from nowhere": ({"tenent": SUBSCRIPTION}, "mlinfra:tenent", "did you mean tenant?"),
    "a range that is none": ({"network": {"cidr": "ten"}}, "mlinfra:network.cidr", "10.80.0.0/20"),
    "a way out of isolation": (
        {"isolated": True, "network": {"hosts": ["packages.acme.example"]}},
        "mlinfra:network.hosts",
        "none",
    ),
    "a network made and adopted": (
        {"adopt": {"network": {"subnet": SUBNET}}, "network": {"cidr": "10.0.0.0/20"}},
        "mlinfra:network.cidr",
        "one of",
    ),
    "an adopted subnet by its name": (
        {"adopt": {"network": {"subnet": "endpoints"}}},
        "mlinfra:adopt.network.subnet",
        "by its resource id",
    ),
    "a zone for nothing": (
        {"adopt": {"network": {"subnet": SUBNET, "zones": {"queue": ZONE}}}},
        "mlinfra:adopt.network.zones.queue",
        "blob",
    ),
    "a vault in another subscription": (
        {"adopt": {"key_vault": f"{ELSEWHERE}/Microsoft.KeyVault/vaults/acme"}},
        "mlinfra:adopt.key_vault",
        f"one in subscription {SUBSCRIPTION}",
    ),
    "a vault where an account is wanted": (
        {"adopt": {"storage_account": f"{GROUP}/Microsoft.KeyVault/vaults/acme"}},
        "mlinfra:adopt.storage_account",
        "Storage account",
    ),
    "a workspace in another group": (
        {"adopt": {"workspace": f"{GROUP}/Microsoft.MachineLearningServices/workspaces/risk"}},
        "mlinfra:adopt.workspace",
        "adopt.resource_group: acme",
    ),
    "an Azure DevOps without its issuer": (
        {"trusts": [{"system": "azure-devops", "subjects": ["sc://acme/risk/deploy"]}]},
        "mlinfra:trusts.0.issuer",
        "vstoken.dev.azure.com",
    ),
}
