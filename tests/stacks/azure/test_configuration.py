"""What no stack of Azure can be configured to be: key, value given, what is allowed."""

from __future__ import annotations

import pytest

from mlinfra.errors import SpecError
from mlinfra.infra.azure.configuration import AzureConfiguration
from mlinfra.infra.configuration import read

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
GOOD = {"platform": "azure", "region": "westeurope", "account": SUBSCRIPTION, "tenant": SUBSCRIPTION}
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/acme/providers"
ELSEWHERE = GROUP.replace("0001/", "0009/")
SUBNET = f"{GROUP}/Microsoft.Network/virtualNetworks/hub/subnets/endpoints"

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
        {"adopt": {"network": {"subnet": SUBNET, "zones": {"queue": "x"}}}},
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


@pytest.mark.parametrize(("changed", "key", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_configuration_names_its_key_and_what_is_allowed(changed, key, told):
    with pytest.raises(SpecError) as caught:
        read(AzureConfiguration, {**GOOD, **changed}, stack="azure-dev")
    found = [problem for problem in caught.value.problems if (problem.path or "").startswith(key)]
    assert found, str(caught.value)
    assert told in str(found[0])


def test_what_it_says_by_itself_is_enough_for_dev():
    assert read(AzureConfiguration, GOOD, stack="azure-dev").profile.destroy_contents
