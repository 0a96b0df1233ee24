"""What a stack of Azure is made of, stage by stage: inputs, tags, protection, rights, the exported environment."""

from __future__ import annotations

from typing import ClassVar

import pulumi
import pulumi_azure_native
import pytest

from mlinfra.catalog.azure.permissions import policy
from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.mocks import run
from mlinfra.environment import parse
from mlinfra.infra.azure.stack import AzureStack

pytestmark = pytest.mark.thorough

STAGES = ("dev", "staging", "prod")
GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/acme/providers"
_WRITE_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
EVERYTHING = {
    "endpoints": ["credit"],
    "notify": ["risk@example.org"],
    "clusters": {"cpu": {"machine": "Standard_DS3_v2"}},
    "shared_registry": "shared-models",
    "trusts": [
        {"system": "github", "subjects": ["repo:acme/risk:environment:dev", "repo:acme/risk:ref:refs/heads/main"]}
    ],
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_input_is_one_that_the_provider_takes(up, stage):
    assert len(up(stage, **EVERYTHING).all) > 60


@pytest.mark.parametrize("stage", STAGES)
def test_previews_with_every_output_unknown_register_the_same_resources(up, stage):
    known, unknown = up(stage, **EVERYTHING), up(stage, preview=True, **EVERYTHING)
    assert {each.urn for each in unknown.all} == {each.urn for each in known.all}
    assert unknown.exports == {"environment": None}


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_takes_tags_has_those_of_the_environment(up, stage):
    wanted = {"mlinfra_environment": f"azure-{stage}", "mlinfra_stage": stage, "Team": "Risk"}
    for each in up(stage, **EVERYTHING, tags={"Team": "Risk"}).all:
        if each.custom and "tags" in introspect.members(introspect.arguments_class(each.token)):
            assert wanted.items() <= each.inputs["tags"].items(), each.name


@pytest.mark.parametrize("stage", STAGES)
def test_the_environment_is_one_that_the_adapter_reads(up, stage):
    environment = parse(up(stage, **EVERYTHING).exports["environment"])
    assert environment.id.startswith("azure:00000000-0000-4000-8000-000000000001:mlinfra-azure-")
    assert set(environment.stores) == {"artefacts", "data", "captures", "approvals"}
    assert set(environment.identities) == {"trainer", "server", "deployer", "approver", "ci"}
    assert environment.native["client_ids"].keys() == environment.identities.keys()
    assert environment.protected is (stage == "prod")
    assert bool(environment.network.id) is (stage != "dev")


class TestStorage:
    ACCOUNT = "azure-native:storage:StorageAccount"

    def test_nobody_has_a_shared_key_and_nothing_is_public(self, up):
        for stage in STAGES:
            for account in up(stage).of(self.ACCOUNT):
                inputs = account.inputs
                assert inputs["allowSharedKeyAccess"] is False
                assert inputs["allowBlobPublicAccess"] is False
                assert inputs["minimumTlsVersion"] == "TLS1_2"

    def test_data_has_folders_and_the_rest_versions(self, up):
        accounts = {each.name.split("-")[-2]: each.inputs for each in up().of(self.ACCOUNT)}
        assert accounts["data"]["isHnsEnabled"] is True
        assert accounts["kept"]["isHnsEnabled"] is False
        assert up().named("azure-dev-stores-kept-blobs").inputs["isVersioningEnabled"] is True

    def test_names_are_within_azures_24_letters_and_digits(self, up):
        for account in up(stage="prod").of(self.ACCOUNT):
            assert account.inputs["accountName"].isalnum()
            assert len(account.inputs["accountName"]) <= 24

    def test_prod_is_closed_and_encrypted_with_its_own_key(self, up):
        inputs = up("prod").named("azure-prod-stores-kept-account").inputs
        assert inputs["publicNetworkAccess"] == "Disabled"
        assert inputs["networkRuleSet"]["defaultAction"] == "Deny"
        assert inputs["encryption"]["keySource"] == "Microsoft.Keyvault"
        assert inputs["sku"]["name"] == "Standard_ZRS"

    def test_captures_alone_go_by_age(self, up):
        rules = {rule["name"] for rule in up().named("azure-dev-stores-kept-lifecycle").inputs["policy"]["rules"]}
        assert rules == {"old-versions", "expiry"}


class TestWorkspace:
    def test_it_hangs_together_from_the_environments_own_parts(self, up):
        inputs = up("prod").named("azure-prod-models-workspace").inputs
        for part in ("storageAccount", "keyVault", "containerRegistry", "applicationInsights"):
            assert inputs[part].startswith("/subscriptions/"), part
        assert inputs["systemDatastoresAuthMode"] == "Identity"

    def test_prod_lets_nothing_out_but_what_is_approved(self, up):
        inputs = up("prod").named("azure-prod-models-workspace").inputs
        assert inputs["managedNetwork"]["isolationMode"] == "AllowOnlyApprovedOutbound"
        assert inputs["publicNetworkAccess"] == "Disabled"
        rule = "azure-native:machinelearningservices:ManagedNetworkSettingsRule"
        assert not up("prod").of(rule)
        hosts = {
            each.inputs["properties"]["destination"]
            for each in up("prod", network={"hosts": ["packages.acme.example"]}).of(rule)
        }
        assert hosts == {"packages.acme.example"}

    def test_clusters_shrink_to_none_and_are_spare_where_the_stage_says_so(self, up):
        def settings(stage: str) -> dict:
            return up(stage, **EVERYTHING).named(f"azure-{stage}-compute-cpu").inputs["properties"]["properties"]

        assert settings("dev")["scaleSettings"]["minNodeCount"] == 0
        assert settings("dev")["vmPriority"] == "LowPriority"
        assert settings("prod")["vmPriority"] == "Dedicated"


class TestIdentities:
    def rights(self, found, who: str) -> set[tuple[str, str]]:
        """What somebody may do, actions and data actions, and on what."""
        allowed = {
            each.inputs["roleDefinitionId"]: [
                action
                for permission in each.inputs["permissions"]
                for action in (*permission.get("actions", []), *permission.get("dataActions", []))
            ]
            for each in found.of("azure-native:authorization:RoleDefinition")
        }
        return {
            (action, each.inputs["scope"].rpartition("/")[2])
            for each in found.of("azure-native:authorization:RoleAssignment")
            if f"-identities-{who}-" in each.name
            for action in allowed[each.inputs["roleDefinitionId"].rpartition("/")[2]]
        }

    def test_roles_and_assignments_are_those_that_env_permissions_prints(self, up):
        found = up("prod", **EVERYTHING)
        printed = policy(parse(found.exports["environment"]))
        made = {
            each.inputs["roleName"]: each.inputs["permissions"][0]
            for each in found.of("azure-native:authorization:RoleDefinition")
        }
        assert {own: sorted(made[own].get("actions", [])) for own in made} == {
            own: role["Actions"] for own, role in printed["roles"].items()
        }
        assert {own: sorted(made[own].get("dataActions", [])) for own in made} == {
            own: role["DataActions"] for own, role in printed["roles"].items()
        }
        names = {
            each.inputs["roleDefinitionId"]: each.inputs["roleName"]
            for each in found.of("azure-native:authorization:RoleDefinition")
        }
        given = sorted(
            (names[each.inputs["roleDefinitionId"].rpartition("/")[2]], each.inputs["scope"])
            for each in found.children("azure-prod-identities")
            if each.token == "azure-native:authorization:RoleAssignment" and "-identities-ci-" not in each.name  # noqa: S105  a type
        )
        assert given == sorted((each["role"], each["scope"]) for each in printed["assignments"])

    def test_the_approver_alone_writes_approvals(self, up):
        found = up(**EVERYTHING)
        writers = {
            who
            for who in ("trainer", "server", "deployer", "approver", "ci")
            if (_WRITE_BLOBS, "approvals") in self.rights(found, who)
        }
        assert writers == {"approver"}

    def test_pipelines_may_do_what_the_deployer_may(self, up):
        found = up(**EVERYTHING)
        assert self.rights(found, "ci") == self.rights(found, "deployer")

    def test_nobody_may_everything_of_a_service(self, up):
        found = up("prod", **EVERYTHING)
        for who in ("trainer", "server", "deployer", "approver", "ci"):
            assert not [action for action, _ in self.rights(found, who) if "*" in action]

    def test_each_subject_of_a_pipeline_is_a_credential_of_its_own(self, up):
        found = up(**EVERYTHING).of("azure-native:managedidentity:FederatedIdentityCredential")
        assert [each.inputs["subject"] for each in found] == EVERYTHING["trusts"][0]["subjects"]
        assert {each.inputs["issuer"] for each in found} == {"https://token.actions.githubusercontent.com"}
        assert found[0].name in found[1].depends_on  # Azure writes them one after the other


class TestProtection:
    def test_prod_protects_what_cannot_be_made_again(self, up):
        kinds = {each.token.rpartition(":")[2] for each in up("prod", **EVERYTHING).all if each.protect}
        assert kinds == {
            "BlobContainer",
            "Key",
            "Registry",
            "ResourceGroup",
            "StorageAccount",
            "Vault",
            "Workspace",
        }

    def test_dev_goes_in_one_command(self, up):
        found = up("dev", **EVERYTHING)
        assert not any(each.protect for each in found.all)
        assert "enablePurgeProtection" not in found.named("azure-dev-secrets-vault").inputs["properties"]


class TestNetwork:
    def test_dev_has_none(self, up):
        assert not [
            each for each in up().all if each.token.startswith(("azure-native:network", "azure-native:privatedns"))
        ]

    def test_prod_reaches_all_that_holds_data_from_inside(self, up):
        reached = {
            each.inputs["privateLinkServiceConnections"][0]["groupIds"][0]
            for each in up("prod").of("azure-native:network:PrivateEndpoint")
        }
        assert reached == {"blob", "dfs", "vault", "registry", "amlworkspace"}

    def test_central_zones_are_used_where_there_are_such(self, up):
        zone = f"{GROUP}/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net"
        subnet = f"{GROUP}/Microsoft.Network/virtualNetworks/hub/subnets/endpoints"
        found = up("prod", adopt={"network": {"subnet": subnet, "zones": {"blob": zone}}})
        names = {each.inputs["privateZoneName"] for each in found.of("azure-native:privatedns:PrivateZone")}
        assert "privatelink.blob.core.windows.net" not in names
        assert "privatelink.vaultcore.azure.net" in names
        group = found.named("azure-prod-network-kept-blob-names").inputs["privateDnsZoneConfigs"]
        assert group == [{"name": "blob", "privateDnsZoneId": zone}]


class TestEndpoints:
    def test_a_shell_leaves_its_traffic_to_the_adapter(self, up):
        shell = up("prod", **EVERYTHING).named("azure-prod-endpoints-credit")
        assert shell.ignored == ("properties", "tags")  # no update at all: a PUT without traffic takes it away
        assert shell.inputs["properties"] == {"authMode": "AADToken", "publicNetworkAccess": "Disabled"}

    def test_dev_answers_with_keys(self, up):
        assert up(**EVERYTHING).named("azure-dev-endpoints-credit").inputs["properties"]["authMode"] == "Key"


class TestAdopting:
    ADOPTED: ClassVar = {
        "resource_group": "acme",
        "storage_account": f"{GROUP}/Microsoft.Storage/storageAccounts/acmerisk",
        "key_vault": f"{GROUP}/Microsoft.KeyVault/vaults/acme-risk",
        "registry": f"{GROUP}/Microsoft.ContainerRegistry/registries/acmerisk",
        "workspace": f"{GROUP}/Microsoft.MachineLearningServices/workspaces/acme-risk",
        "log_analytics": f"{GROUP}/Microsoft.OperationalInsights/workspaces/acme",
    }

    def test_what_exists_is_used(self, up):
        environment = parse(up("prod", adopt=self.ADOPTED).exports["environment"])
        assert environment.resource_group == "acme"
        assert environment.workspace == "acme-risk"
        assert environment.stores["artefacts"].uri == "https://acmerisk.blob.core.windows.net/artefacts"
        assert environment.registries["images"] == "acmerisk.azurecr.io"
        assert environment.vaults["default"] == "https://acme-risk.vault.azure.net/"

    def test_what_exists_is_not_made_and_not_protected(self, up):
        found = up("prod", adopt=self.ADOPTED)
        made = {each.token.rpartition(":")[2] for each in found.all if each.custom and not each.adopted}
        assert not {"ResourceGroup", "Vault", "Registry", "Workspace"} & made
        assert not [each for each in found.all if each.adopted and each.protect]


def test_a_provider_given_to_the_stack_reaches_every_child(configured):
    configuration = configured("prod", **EVERYTHING)

    def program() -> None:
        provider = pulumi_azure_native.Provider("mine", location="westeurope")
        AzureStack(configuration.name, configuration, pulumi.ResourceOptions(providers=[provider]))

    found = run(program, config={"azure-native:location": "westeurope"})
    strays = [each.name for each in found.all if each.token.startswith("azure-native:") and each.provider != "mine"]
    assert strays == []
