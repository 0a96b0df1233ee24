"""What a stack of Azure finds and uses: all that may exist already, read and never made, changed or protected."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mlinfra.catalog.azure.permissions import policy
from mlinfra.environment import parse
from mlinfra.errors import SpecError
from mlinfra.infra.azure.configuration import ZONES, AzureConfiguration
from mlinfra.infra.configuration import read

pytestmark = pytest.mark.thorough

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
THEIRS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/central/providers"
HUB = f"/subscriptions/{SUBSCRIPTION.replace('0001', '0009')}/resourceGroups/hub/providers/Microsoft.Network"
IDENTITIES = ("trainer", "server", "deployer", "approver", "ci")
TRUST = {"system": "github", "subjects": ["repo:acme/risk:environment:prod"]}
EVERYTHING: dict[str, Any] = {
    "resource_group": "acme",
    "storage_account": f"{THEIRS}/Microsoft.Storage/storageAccounts/acmekept",
    "data_account": f"{THEIRS}/Microsoft.Storage/storageAccounts/acmedata",
    "key_vault": f"{THEIRS}/Microsoft.KeyVault/vaults/acme-risk",
    "key": f"{THEIRS}/Microsoft.KeyVault/vaults/acme-keys/keys/storage",
    "registry": f"{THEIRS}/Microsoft.ContainerRegistry/registries/acmerisk",
    "workspace": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/acme/providers"
    "/Microsoft.MachineLearningServices/workspaces/acme-risk",
    "log_analytics": f"{THEIRS}/Microsoft.OperationalInsights/workspaces/acme",
    "identities": {
        each: f"{THEIRS}/Microsoft.ManagedIdentity/userAssignedIdentities/acme-{each}" for each in IDENTITIES
    },
    "network": {
        "subnet": f"{HUB}/virtualNetworks/hub/subnets/endpoints",
        "zones": {kind: f"{HUB}/privateDnsZones/{zone}" for kind, zone in ZONES.items()},
    },
}
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"


def flat(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set().union(*map(flat, value.values()))


@pytest.fixture
def adopting(up):
    """The stack in prod with everything adopted that there is; `changed` of the configuration comes over it."""
    return lambda **changed: up("prod", **{"adopt": EVERYTHING, "trusts": [TRUST], **changed})


def test_everything_that_is_adopted_is_read_by_its_id(adopting):
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/acme"
    wanted = (flat(EVERYTHING) - {"acme"}) | {group}
    assert {each.adopted for each in adopting().all if each.adopted} == wanted


def test_nothing_of_a_kind_that_is_adopted_whole_is_made(adopting):
    made = {each.token.rpartition(":")[2] for each in adopting().all if each.custom and not each.adopted}
    assert not made & {
        "BlobServiceProperties",
        "Key",
        "ManagementPolicy",
        "PrivateZone",
        "Registry",
        "ResourceGroup",
        "StorageAccount",
        "Subnet",
        "Vault",
        "VirtualNetwork",
        "VirtualNetworkLink",
    }
    assert [each.name for each in adopting().of(IDENTITY) if not each.adopted] == ["azure-prod-keys-user"]
    assert {each.name for each in adopting().all if each.adopted and each.protect} == set()


def test_previews_with_every_output_unknown_register_the_same_resources(adopting):
    assert {each.urn for each in adopting(preview=True).all} == {each.urn for each in adopting().all}


def test_what_lies_in_other_groups_is_told_for_rights_and_for_the_doctor(adopting):
    found = adopting()
    environment = parse(found.exports["environment"])
    printed = {each["scope"] for each in policy(environment)["assignments"]}
    given = {each.inputs["scope"] for each in found.of(ASSIGNMENT) if "-identities-" in each.name}
    assert given == printed
    wanted = {EVERYTHING[each] for each in ("key_vault", "registry", "workspace")}
    assert wanted <= printed
    assert {each.partition("/blobServices/")[0] for each in printed if "/containers/" in each} == {
        EVERYTHING["storage_account"],
        EVERYTHING["data_account"],
    }


class TestIdentities:
    def test_the_environment_hands_them_on(self, adopting):
        environment = parse(adopting().exports["environment"])
        assert environment.identities == EVERYTHING["identities"]
        assert environment.native["client_ids"].keys() == set(IDENTITIES)

    def test_each_gets_its_rights_by_the_principal_that_was_read(self, adopting):
        found = adopting()
        for identity in IDENTITIES:
            principal = found.named(f"azure-prod-identities-{identity}").outputs["principalId"]
            given = [each for each in found.of(ASSIGNMENT) if f"-identities-{identity}-" in each.name]
            assert given, identity
            assert {each.inputs["principalId"] for each in given} == {principal}

    def test_they_have_the_rights_that_made_ones_would_have(self, adopting, up):
        def rights(found):
            rows = found.of(ASSIGNMENT)
            return sorted(
                (each.name, each.inputs["scope"])
                for each in rows
                if "userAssignedIdentities" not in each.inputs["scope"]
            )

        rest = {key: value for key, value in EVERYTHING.items() if key != "identities"}
        assert rights(adopting()) == rights(up("prod", adopt=rest, trusts=[TRUST]))

    def test_one_that_is_both_deployer_and_pipeline_gets_each_right_once(self, adopting):
        one = EVERYTHING["identities"]["deployer"]
        both = {**EVERYTHING, "identities": {**EVERYTHING["identities"], "ci": one}}
        found = adopting(adopt=both).of(ASSIGNMENT)
        given = [tuple(each.inputs[part] for part in ("principalId", "roleDefinitionId", "scope")) for each in found]
        assert len(given) == len(set(given))

    def test_the_trust_in_pipelines_is_added_to_the_one_that_exists(self, adopting):
        (credential,) = adopting().of(CREDENTIAL)
        assert credential.inputs["resourceGroupName"] == "central"
        assert credential.inputs["resourceName"] == "acme-ci"

    def test_without_trusts_a_pipelines_identity_is_used_and_nothing_added(self, adopting):
        assert not adopting(trusts=[]).of(CREDENTIAL)
        assert "ci" in parse(adopting(trusts=[]).exports["environment"]).identities


class TestKey:
    ALONE: ClassVar = {"adopt": {"key": EVERYTHING["key"]}}

    def test_what_the_stack_makes_is_encrypted_with_it(self, up):
        found = up("prod", **self.ALONE)
        for account in ("kept", "data"):
            given = found.named(f"azure-prod-stores-{account}-account").inputs["encryption"]["keyVaultProperties"]
            assert given == {"keyName": "storage", "keyVaultUri": "https://acme-keys.vault.azure.net/"}
        given = found.named("azure-prod-models-workspace").inputs["encryption"]["keyVaultProperties"]
        assert given["keyIdentifier"] == "https://acme-keys.vault.azure.net/keys/storage"
        assert given["keyVaultArmId"] == f"{THEIRS}/Microsoft.KeyVault/vaults/acme-keys"
        exported = parse(found.exports["environment"])
        assert exported.keys == {"main": "https://acme-keys.vault.azure.net/keys/storage"}

    def test_storage_and_workspace_may_use_that_key_and_nothing_else_of_its_vault(self, up):
        found = up("prod", **self.ALONE)
        use = found.named("azure-prod-keys-use")
        assert use.inputs["scope"] == EVERYTHING["key"]
        assert use.inputs["principalId"] == found.named("azure-prod-keys-user").outputs["principalId"]
        assert use.name in found.named("azure-prod-stores-kept-account").depends_on
        assert use.name in found.named("azure-prod-models-workspace").depends_on

    def test_dev_uses_one_that_is_named(self, up):
        account = up("dev", **self.ALONE).named("azure-dev-stores-data-account")
        assert account.inputs["encryption"]["keySource"] == "Microsoft.Keyvault"


class TestDataAccount:
    def test_its_container_is_made_and_the_account_left_alone(self, up):
        found = up("prod", adopt={"data_account": EVERYTHING["data_account"]})
        assert [each.name for each in found.children("azure-prod-stores-data") if not each.adopted] == [
            "azure-prod-stores-data-data"
        ]
        container = found.named("azure-prod-stores-data-data").inputs
        assert (container["accountName"], container["resourceGroupName"]) == ("acmedata", "central")
        store = parse(found.exports["environment"]).stores["data"]
        assert store.uri == "https://acmedata.blob.core.windows.net/data"
        assert store.options == {"account": EVERYTHING["data_account"]}

    def test_private_endpoints_lead_to_it(self, up):
        found = up("prod", adopt={"data_account": EVERYTHING["data_account"]})
        (connection,) = found.named("azure-prod-network-data-dfs").inputs["privateLinkServiceConnections"]
        assert connection["privateLinkServiceId"] == EVERYTHING["data_account"]


ELSEWHERE = THEIRS.replace("0001/", "0009/")
WRONG = {
    "an identity of another subscription": (
        {"identities": {"trainer": f"{ELSEWHERE}/Microsoft.ManagedIdentity/userAssignedIdentities/acme"}},
        "mlinfra:adopt.identities.trainer",
        f"one in subscription {SUBSCRIPTION}",
    ),
    "an identity by its client id": (
        {"identities": {"trainer": SUBSCRIPTION}},
        "mlinfra:adopt.identities.trainer",
        "by resource id",
    ),
    "an identity for nobody": ({"identities": {"auditor": "x"}}, "mlinfra:adopt.identities.auditor", "approver"),
    "a key by its address": (
        {"key": "https://acme-keys.vault.azure.net/keys/storage"},
        "mlinfra:adopt.key",
        "by resource id",
    ),
    "a vault where its key is wanted": (
        {"key": f"{THEIRS}/Microsoft.KeyVault/vaults/acme-keys"},
        "mlinfra:adopt.key",
        "by resource id",
    ),
    "a key of another subscription": (
        {"key": f"{ELSEWHERE}/Microsoft.KeyVault/vaults/acme-keys/keys/storage"},
        "mlinfra:adopt.key",
        f"one in subscription {SUBSCRIPTION}",
    ),
    "data where everything else lies": (
        {"storage_account": EVERYTHING["storage_account"], "data_account": EVERYTHING["storage_account"]},
        "mlinfra:adopt.data_account",
        "another than adopt.storage_account",
    ),
    "a data account of another subscription": (
        {"data_account": f"{ELSEWHERE}/Microsoft.Storage/storageAccounts/acme"},
        "mlinfra:adopt.data_account",
        f"one in subscription {SUBSCRIPTION}",
    ),
    "a central zone by its name": (
        {"network": {"subnet": EVERYTHING["network"]["subnet"], "zones": {"blob": ZONES["blob"]}}},
        "mlinfra:adopt.network.zones.blob",
        "by resource id",
    ),
}


@pytest.mark.parametrize(("adopted", "key", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_adopted_names_its_key_and_what_is_allowed(adopted, key, told):
    base = {"platform": "azure", "region": "westeurope", "account": SUBSCRIPTION, "tenant": SUBSCRIPTION}
    with pytest.raises(SpecError) as caught:
        read(AzureConfiguration, {**base, "adopt": adopted}, stack="azure-dev")
    found = [problem for problem in caught.value.problems if (problem.path or "").startswith(key)]
    assert any(told in str(each) for each in found), str(caught.value)
