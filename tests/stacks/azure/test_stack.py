"""What a stack of Azure's decisive resources are given, stage by stage: as a security review reads them.

Which resources there are is in `trees/`, what holds for every cloud in `test_clouds.py`, what exists already in
`test_adopting.py`.
"""

from __future__ import annotations

import json

import pytest

from mlinfra.catalog.azure.permissions import policy
from mlinfra.environment import parse
from mlinfra.infra.azure.configuration import ZONES

pytestmark = pytest.mark.thorough

STAGES = ("dev", "staging", "prod")
SUFFIX = "b042c9"  # of azure-prod
SUBSCRIPTION = "/subscriptions/00000000-0000-4000-8000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/mlinfra-azure-prod/providers"
ACCOUNTS = f"{GROUP}/Microsoft.Storage/storageAccounts"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/vauazureprod{SUFFIX}"
REGISTRY = f"{GROUP}/Microsoft.ContainerRegistry/registries/imaazureprod{SUFFIX}"
WORKSPACE = f"{GROUP}/Microsoft.MachineLearningServices/workspaces/azure-prod"
LOGS = f"{GROUP}/Microsoft.OperationalInsights/workspaces/mlinfra-azure-prod-{SUFFIX}"
TOLD = f"{GROUP}/Microsoft.Insights/actionGroups/mlinfra-azure-prod-{SUFFIX}"
USER = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/mlinfra-azure-prod"
SERVERS_FAULT = ["500", "501", "502", "503", "504"]
_WRITE_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
_ROLE = "azure-native:authorization:RoleDefinition"
_ASSIGNMENT = "azure-native:authorization:RoleAssignment"
_PLACE = {"tags", "location", "resourceGroupName"}


def given(found, name: str) -> dict:
    """What a resource is given, its tags and its place apart."""
    return {key: value for key, value in found.named(name).inputs.items() if key not in _PLACE}


@pytest.fixture
def prod(whole):
    return whole("prod")


@pytest.fixture
def dev(whole):
    return whole("dev")


class TestStorage:
    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize(("use", "folders"), [("kept", False), ("data", True)])
    def test_an_account_takes_entra_tokens_over_tls_and_nothing_else(self, whole, stage, use, folders):
        inputs = given(whole(stage), f"azure-{stage}-stores-{use}-account")
        name = inputs.pop("accountName")
        assert name.isalnum()
        assert len(name) <= 24
        inputs.pop("identity", None)
        inputs.pop("encryption", None)
        private = stage != "dev"
        assert inputs == {
            "kind": "StorageV2",
            "sku": {"name": "Standard_ZRS" if stage == "prod" else "Standard_LRS"},
            "isHnsEnabled": folders,
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "defaultToOAuthAuthentication": True,
            "enableHttpsTrafficOnly": True,
            "minimumTlsVersion": "TLS1_2",
            "publicNetworkAccess": "Disabled" if private else "Enabled",
            "networkRuleSet": {"defaultAction": "Deny" if private else "Allow", "bypass": "AzureServices"},
        }

    @pytest.mark.parametrize("use", ["kept", "data"])
    def test_a_key_of_ones_own_encrypts_twice_once_its_user_may_use_it(self, prod, dev, use):
        account = prod.named(f"azure-prod-stores-{use}-account")
        assert account.inputs["identity"] == {
            "type": "UserAssigned",
            "userAssignedIdentities": [f"{USER}-key-{SUFFIX}"],
        }
        assert account.inputs["encryption"] == {
            "keySource": "Microsoft.Keyvault",
            "keyVaultProperties": {
                "keyName": "mlinfra",
                "keyVaultUri": f"https://vauazureprod{SUFFIX}.vault.azure.net/",
            },
            "encryptionIdentity": {"encryptionUserAssignedIdentity": f"{USER}-key-{SUFFIX}"},
            "requireInfrastructureEncryption": True,
        }
        assert "azure-prod-keys-use" in account.depends_on
        assert "encryption" not in given(dev, f"azure-dev-stores-{use}-account")

    def test_no_container_is_public(self, prod):
        containers = prod.of("azure-native:storage:BlobContainer")
        assert {each.inputs["containerName"] for each in containers} == {"artefacts", "data", "captures", "approvals"}
        assert {each.inputs["publicAccess"] for each in containers} == {"None"}

    @pytest.mark.parametrize(("stage", "days"), [("dev", 7), ("staging", 7), ("prod", 90)])
    def test_what_is_deleted_can_be_brought_back(self, whole, stage, days):
        kept = {"enabled": True, "days": days}
        for use, versions in (("kept", True), ("data", False)):  # folders and versions exclude each other
            inputs = given(whole(stage), f"azure-{stage}-stores-{use}-blobs")
            assert inputs["isVersioningEnabled"] is versions
            assert (inputs["deleteRetentionPolicy"], inputs["containerDeleteRetentionPolicy"]) == (kept, kept)

    def test_old_versions_and_captures_go_by_themselves(self, prod):
        def rule(name: str, actions: dict, **filters: list[str]) -> dict:
            chosen = {"actions": actions, "filters": {"blobTypes": ["blockBlob"], **filters}}
            return {"name": name, "enabled": True, "type": "Lifecycle", "definition": chosen}

        aged = {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": 90}}}
        assert given(prod, "azure-prod-stores-kept-lifecycle")["policy"]["rules"] == [
            rule("old-versions", {"version": {"delete": {"daysAfterCreationGreaterThan": 365}}}),
            rule("expiry", aged, prefixMatch=["captures/"]),
        ]
        trash = {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": 365}}}
        assert given(prod, "azure-prod-stores-data-lifecycle")["policy"]["rules"] == [
            rule("trash", trash, prefixMatch=["data/.trash/"])
        ]


class TestVaultAndKey:
    @pytest.mark.parametrize(("stage", "days"), [("dev", 7), ("staging", 7), ("prod", 90)])
    def test_the_vault_knows_rights_by_role_alone_and_keeps_what_is_deleted(self, whole, stage, days):
        private = stage != "dev"
        assert given(whole(stage), f"azure-{stage}-secrets-vault")["properties"] == {
            "tenantId": "00000000-0000-4000-8000-000000000002",
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": days,
            **({"enablePurgeProtection": True} if private else {}),
            "enabledForDeployment": False,
            "enabledForDiskEncryption": False,
            "enabledForTemplateDeployment": False,
            "publicNetworkAccess": "Disabled" if private else "Enabled",
            "networkAcls": {"defaultAction": "Deny" if private else "Allow", "bypass": "AzureServices"},
        }

    def test_the_key_rotates_every_quarter(self, prod):
        assert given(prod, "azure-prod-keys-key")["properties"] == {
            "kty": "RSA",
            "keySize": 3072,
            "rotationPolicy": {
                "attributes": {"expiryTime": "P1Y"},
                "lifetimeActions": [{"action": {"type": "rotate"}, "trigger": {"timeAfterCreate": "P90D"}}],
            },
        }

    def test_one_identity_may_encrypt_with_it_and_nothing_else(self, prod):
        use = given(prod, "azure-prod-keys-use")
        encryption_user = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User
        assert use["roleDefinitionId"] == (
            f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{encryption_user}"
        )
        assert use["principalId"] == prod.named("azure-prod-keys-user").outputs["principalId"]
        assert use["scope"].startswith(VAULT)

    def test_a_secrets_value_is_never_the_stacks(self, prod):
        assert not prod.of("azure-native:keyvault:Secret")


class TestImages:
    def test_nobody_has_a_password_and_prod_is_closed(self, prod, dev):
        inputs = given(prod, "azure-prod-images-registry")
        assert {key: inputs[key] for key in ("adminUserEnabled", "anonymousPullEnabled", "publicNetworkAccess")} == {
            "adminUserEnabled": False,
            "anonymousPullEnabled": False,
            "publicNetworkAccess": "Disabled",
        }
        assert inputs["sku"] == {"name": "Premium"}
        assert inputs["policies"]["retentionPolicy"] == {"days": 14, "status": "enabled"}
        cheap = given(dev, "azure-dev-images-registry")
        assert (cheap["adminUserEnabled"], cheap["anonymousPullEnabled"]) == (False, False)
        assert cheap["sku"] == {"name": "Basic"}

    def test_the_base_image_comes_through_a_cache(self, prod):
        cache = given(prod, "azure-prod-images-cache")
        assert (cache["sourceRepository"], cache["targetRepository"]) == ("docker.io/library/python", "library/python")


class TestWorkspace:
    def test_it_hangs_together_from_the_environments_own_parts(self, prod):
        inputs = given(prod, "azure-prod-models-workspace")
        assert {key: inputs[key] for key in ("storageAccount", "keyVault", "containerRegistry")} == {
            "storageAccount": f"{ACCOUNTS}/kepazureprod{SUFFIX}",
            "keyVault": VAULT,
            "containerRegistry": REGISTRY,
        }
        assert inputs["applicationInsights"].endswith(f"/components/mlinfra-azure-prod-{SUFFIX}")
        assert inputs["systemDatastoresAuthMode"] == "Identity"

    def test_prod_is_encrypted_with_its_own_key(self, prod, dev):
        inputs = given(prod, "azure-prod-models-workspace")
        assert inputs["identity"] == {
            "type": "SystemAssigned,UserAssigned",
            "userAssignedIdentities": [f"{USER}-key-{SUFFIX}"],
        }
        encryption = inputs["encryption"]
        assert encryption["status"] == "Enabled"
        assert encryption["identity"] == {"userAssignedIdentity": f"{USER}-key-{SUFFIX}"}
        assert encryption["keyVaultProperties"]["keyVaultArmId"] == VAULT
        assert encryption["keyVaultProperties"]["keyIdentifier"] == prod.named("azure-prod-keys-key").outputs["keyUri"]
        assert "encryption" not in given(dev, "azure-dev-models-workspace")

    def test_prod_lets_nothing_out_but_what_is_approved(self, prod, dev, up):
        inputs = given(prod, "azure-prod-models-workspace")
        assert inputs["managedNetwork"]["isolationMode"] == "AllowOnlyApprovedOutbound"
        assert inputs["publicNetworkAccess"] == "Disabled"
        rule = "azure-native:machinelearningservices:ManagedNetworkSettingsRule"
        assert [each.inputs["properties"] for each in prod.of(rule)] == [
            {"type": "FQDN", "category": "UserDefined", "destination": "packages.acme.example"}
        ]
        assert not up("prod").of(rule)
        assert given(dev, "azure-dev-models-workspace")["managedNetwork"]["isolationMode"] == "Disabled"

    def test_what_is_shared_between_workspaces_is_private_too(self, prod):
        inputs = given(prod, "azure-prod-registry-registry")
        assert inputs["publicNetworkAccess"] == "Disabled"
        (place,) = inputs["regionDetails"]
        (kept,) = place["storageAccountDetails"]
        assert kept["systemCreatedStorageAccount"]["allowBlobPublicAccess"] is False

    @pytest.mark.parametrize(("stage", "priority", "most"), [("dev", "LowPriority", 2), ("prod", "Dedicated", 10)])
    def test_clusters_shrink_to_none_and_nobody_logs_in(self, whole, stage, priority, most):
        properties = given(whole(stage), f"azure-{stage}-compute-cpu")["properties"]
        assert properties == {
            "computeType": "AmlCompute",
            "disableLocalAuth": True,
            "properties": {
                "vmSize": "Standard_DS3_v2",
                "vmPriority": priority,
                "osType": "Linux",
                "remoteLoginPortPublicAccess": "Disabled",
                "enableNodePublicIp": stage == "dev",
                "scaleSettings": {"minNodeCount": 0, "maxNodeCount": most, "nodeIdleTimeBeforeScaleDown": "PT10M"},
            },
        }


class TestIdentities:
    ALL = ("trainer", "server", "deployer", "approver", "ci")

    def rights(self, found, who: str) -> set[tuple[str, str]]:
        """What somebody may do, actions and data actions, and on what."""
        allowed = {
            each.inputs["roleDefinitionId"]: [
                action
                for permission in each.inputs["permissions"]
                for action in (*permission.get("actions", []), *permission.get("dataActions", []))
            ]
            for each in found.of(_ROLE)
        }
        return {
            (action, each.inputs["scope"].rpartition("/")[2])
            for each in found.of(_ASSIGNMENT)
            if f"-identities-{who}-" in each.name
            for action in allowed[each.inputs["roleDefinitionId"].rpartition("/")[2]]
        }

    @pytest.mark.parametrize("stage", STAGES)
    def test_roles_and_assignments_are_those_that_env_permissions_prints(self, whole, stage):
        found = whole(stage)
        printed = policy(parse(found.exports["environment"]))
        made = {each.inputs["roleName"]: each.inputs["permissions"][0] for each in found.of(_ROLE)}
        for kind, printed_as in (("actions", "Actions"), ("dataActions", "DataActions")):
            assert {own: sorted(made[own].get(kind, [])) for own in made} == {
                own: role[printed_as] for own, role in printed["roles"].items()
            }
        names = {each.inputs["roleDefinitionId"]: each.inputs["roleName"] for each in found.of(_ROLE)}
        given = sorted(
            (names[each.inputs["roleDefinitionId"].rpartition("/")[2]], each.inputs["scope"])
            for each in found.children(f"azure-{stage}-identities")
            if each.token == _ASSIGNMENT and "-identities-ci-" not in each.name
        )
        assert given == sorted((each["role"], each["scope"]) for each in printed["assignments"])

    def test_each_assignment_is_for_the_identity_that_it_is_called_by(self, prod):
        principals = {who: prod.named(f"azure-prod-identities-{who}").outputs["principalId"] for who in self.ALL}
        for who, principal in principals.items():
            own = [each for each in prod.of(_ASSIGNMENT) if f"-identities-{who}-" in each.name]
            assert own
            assert {(each.inputs["principalId"], each.inputs["principalType"]) for each in own} == {
                (principal, "ServicePrincipal")
            }

    def test_the_approver_alone_writes_approvals(self, prod):
        assert {who for who in self.ALL if (_WRITE_BLOBS, "approvals") in self.rights(prod, who)} == {"approver"}

    def test_pipelines_may_do_what_the_deployer_may(self, prod):
        assert self.rights(prod, "ci") == self.rights(prod, "deployer")

    def test_nobody_may_everything_of_a_service(self, prod):
        for who in self.ALL:
            assert self.rights(prod, who)
            assert not [action for action, _ in self.rights(prod, who) if "*" in action]

    def test_each_subject_of_a_pipeline_is_a_credential_of_its_own(self, platform, prod):
        found = prod.of("azure-native:managedidentity:FederatedIdentityCredential")
        named = "federatedIdentityCredentialResourceName"
        assert [{key: value for key, value in given(prod, each.name).items() if key != named} for each in found] == [
            {
                "resourceName": f"mlinfra-azure-prod-ci-{SUFFIX}",
                "issuer": "https://token.actions.githubusercontent.com",
                "subject": subject,
                "audiences": ["api://AzureADTokenExchange"],
            }
            for subject in platform.everything["trusts"][0]["subjects"]
        ]
        assert found[0].name in found[1].depends_on  # Azure writes them one after the other


class TestProtection:
    def test_prod_protects_what_cannot_be_made_again(self, prod):
        assert {each.token.rpartition(":")[2] for each in prod.all if each.protect} == {
            "BlobContainer",
            "Key",
            "Registry",
            "ResourceGroup",
            "StorageAccount",
            "Vault",
            "Workspace",
        }


class TestNetwork:
    SUBNET = f"{GROUP}/Microsoft.Network/virtualNetworks/mlinfra-azure-prod-{SUFFIX}/subnets/endpoints"
    REACHED = (
        ("kept-blob", f"{ACCOUNTS}/kepazureprod{SUFFIX}", "blob", ["blob"]),
        ("data-blob", f"{ACCOUNTS}/datazureprod{SUFFIX}", "blob", ["blob"]),
        ("data-dfs", f"{ACCOUNTS}/datazureprod{SUFFIX}", "dfs", ["dfs"]),
        ("secrets-vault", VAULT, "vault", ["vault"]),
        ("images-registry", REGISTRY, "registry", ["registry"]),
        ("models-amlworkspace", WORKSPACE, "amlworkspace", ["amlworkspace", "notebooks"]),
    )

    def test_dev_has_none(self, dev):
        assert not [
            each for each in dev.all if each.token.startswith(("azure-native:network", "azure-native:privatedns"))
        ]

    @pytest.mark.parametrize(("own", "resource", "group", "zones"), REACHED)
    def test_all_that_holds_data_answers_inside_by_its_own_name(self, prod, own, resource, group, zones):
        endpoint = given(prod, f"azure-prod-network-{own}")
        assert endpoint["subnet"]["id"] == self.SUBNET
        (connection,) = endpoint["privateLinkServiceConnections"]
        assert (connection["privateLinkServiceId"], connection["groupIds"]) == (resource, [group])
        names = given(prod, f"azure-prod-network-{own}-names")
        assert names["privateEndpointName"] == endpoint["privateEndpointName"]
        assert names["privateDnsZoneConfigs"] == [
            {"name": zone, "privateDnsZoneId": f"{GROUP}/Microsoft.Network/privateDnsZones/{ZONES[zone]}"}
            for zone in zones
        ]

    def test_these_are_all_the_private_endpoints(self, prod):
        assert len(prod.of("azure-native:network:PrivateEndpoint")) == len(self.REACHED)

    def test_every_zone_is_looked_up_in_the_network_and_takes_no_machines_names(self, prod):
        zones = {each.inputs["privateZoneName"] for each in prod.of("azure-native:privatedns:PrivateZone")}
        assert zones == set(ZONES.values())
        links = [each.inputs for each in prod.of("azure-native:privatedns:VirtualNetworkLink")]
        assert {each["privateZoneName"] for each in links} == zones
        vnet = self.SUBNET.partition("/subnets/")[0]
        assert {(each["virtualNetwork"]["id"], each["registrationEnabled"]) for each in links} == {(vnet, False)}

    def test_central_zones_are_used_where_there_are_such(self, platform, up):
        zone = platform.adopted["network"]["zones"]["blob"]
        found = up("prod", adopt={"network": {**platform.adopted["network"], "zones": {"blob": zone}}})
        made = {
            each.inputs["privateZoneName"]
            for each in found.of("azure-native:privatedns:PrivateZone")
            if not each.adopted
        }
        assert made == set(ZONES.values()) - {"privatelink.blob.core.windows.net"}
        group = found.named("azure-prod-network-kept-blob-names").inputs["privateDnsZoneConfigs"]
        assert group == [{"name": "blob", "privateDnsZoneId": zone}]


class TestEndpoints:
    def test_a_shell_leaves_its_traffic_to_the_adapter(self, prod):
        shell = prod.named("azure-prod-endpoints-credit")
        assert shell.ignored == ("properties", "tags")  # no update at all: a PUT without traffic takes it away
        assert shell.inputs["properties"] == {"authMode": "AADToken", "publicNetworkAccess": "Disabled"}
        assert shell.inputs["identity"] == {
            "type": "UserAssigned",
            "userAssignedIdentities": [f"{USER}-server-{SUFFIX}"],
        }

    def test_dev_answers_with_keys(self, dev):
        open_to_keys = {"authMode": "Key", "publicNetworkAccess": "Enabled"}
        assert given(dev, "azure-dev-endpoints-credit")["properties"] == open_to_keys


class TestObservation:
    @pytest.mark.parametrize(("stage", "days"), [("dev", 30), ("staging", 90), ("prod", 365)])
    def test_logs_end_some_day_and_are_written_with_tokens_alone(self, whole, stage, days):
        logs = given(whole(stage), f"azure-{stage}-logs-workspace")
        assert (logs["retentionInDays"], logs["features"]) == (days, {"disableLocalAuth": True})
        insights = given(whole(stage), f"azure-{stage}-logs-insights")
        assert (insights["disableLocalAuth"], insights["ingestionMode"]) == (True, "LogAnalytics")

    @pytest.mark.parametrize(
        ("own", "resource", "categories"),
        [
            (
                "kept",
                f"{ACCOUNTS}/kepazureprod{SUFFIX}/blobServices/default",
                ["StorageRead", "StorageWrite", "StorageDelete"],
            ),
            (
                "data",
                f"{ACCOUNTS}/datazureprod{SUFFIX}/blobServices/default",
                ["StorageRead", "StorageWrite", "StorageDelete"],
            ),
            ("secrets", VAULT, ["AuditEvent"]),
        ],
    )
    def test_prod_keeps_who_reads_and_writes(self, prod, own, resource, categories):
        assert given(prod, f"azure-prod-logs-{own}-audit") == {
            "name": "mlinfra",
            "resourceUri": resource,
            "workspaceId": LOGS,
            "logs": [{"category": category, "enabled": True} for category in categories],
        }

    @pytest.mark.parametrize(
        ("own", "metric", "above", "narrowed"),
        [
            (
                "errors",
                "RequestsPerMinute",
                1,
                {"dimensions": [{"name": "modelStatusCode", "operator": "Include", "values": SERVERS_FAULT}]},
            ),
            ("latency", "RequestLatency_P99", 1000, {}),
        ],
    )
    def test_errors_and_slowness_of_an_endpoint_tell_people(self, prod, own, metric, above, narrowed):
        alert = given(prod, f"azure-prod-alarms-credit-{own}")
        assert alert["scopes"] == [f"{WORKSPACE}/onlineEndpoints/credit-{SUFFIX}"]
        assert alert["actions"] == [{"actionGroupId": TOLD}]
        assert (alert["enabled"], alert["evaluationFrequency"], alert["windowSize"]) == (True, "PT1M", "PT5M")
        (criterion,) = alert["criteria"]["allOf"]
        assert criterion == {
            "criterionType": "StaticThresholdCriterion",
            "name": own,
            "metricNamespace": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
            "metricName": metric,
            "operator": "GreaterThan",
            "threshold": above,
            "timeAggregation": "Average",
            **narrowed,
        }

    def test_whoever_is_named_gets_mail(self, prod):
        (mail,) = given(prod, "azure-prod-alarms-group")["emailReceivers"]
        assert mail == {"name": "mail-1", "emailAddress": "risk@example.org", "useCommonAlertSchema": True}

    def test_one_page_shows_requests_and_latency_of_the_workspaces_endpoints(self, prod):
        page = json.loads(given(prod, "azure-prod-dashboard-page")["serializedData"])
        assert {item["name"] for item in page["items"]} == {"RequestsPerMinute", "RequestLatency_P99"}
        assert {tuple(item["content"]["resourceIds"]) for item in page["items"]} == {(WORKSPACE,)}


class TestMoney:
    def test_people_are_told_at_four_fifths_and_when_the_month_will_not_do(self, prod):
        budget = given(prod, "azure-prod-money-budget")
        assert budget["scope"] == GROUP.removesuffix("/providers")
        assert (budget["amount"], budget["timeGrain"], budget["category"]) == (2000, "Monthly", "Cost")
        told = {
            "enabled": True,
            "operator": "GreaterThan",
            "contactEmails": ["risk@example.org"],
            "contactGroups": [TOLD],
        }
        assert budget["notifications"] == {
            "spent": {"thresholdType": "Actual", "threshold": 80, **told},
            "forecast": {"thresholdType": "Forecasted", "threshold": 100, **told},
        }

    def test_none_is_made_where_none_is_wanted(self, whole):
        assert not whole(budget=0).of("azure-native:consumption:Budget")
