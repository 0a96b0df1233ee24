"""Resources of a stack in the emulated subscription: really there, found changed, and gone with what they hold."""

from __future__ import annotations

import pytest

from mlinfra.emulator.provisioning import Declared, Refused

GROUP = "azure-native:resources:ResourceGroup"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
ROLE = "azure-native:authorization:RoleDefinition"
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
ACCOUNT = "azure-native:storage:StorageAccount"
CONTAINER = "azure-native:storage:BlobContainer"
WORKSPACE = "azure-native:machinelearningservices:Workspace"
ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
OWN = "1b0a4f2e-0000-4000-8000-00000000000a"
IN_GROUP = {"resourceGroupName": "acme"}
READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"


@pytest.fixture
def cloud(emulator):
    package, made_by = emulator.provisioner()
    assert package == "azure-native"
    made_by.create(Declared(GROUP, {**IN_GROUP, "location": "westeurope"}, emulator.place.group("acme")))
    return made_by


@pytest.fixture
def place(emulator):
    return f"{emulator.place.group('acme')}/providers"


def identity(place: str) -> Declared:
    inputs = {**IN_GROUP, "resourceName": "trainer", "location": "westeurope"}
    return Declared(IDENTITY, inputs, f"{place}/Microsoft.ManagedIdentity/userAssignedIdentities/trainer")


def account(place: str) -> Declared:
    inputs = {**IN_GROUP, "accountName": "acmedata", "kind": "StorageV2"}
    return Declared(ACCOUNT, inputs, f"{place}/Microsoft.Storage/storageAccounts/acmedata")


def container(place: str) -> Declared:
    where = f"{account(place).id}/blobServices/default/containers/data"
    return Declared(CONTAINER, {**IN_GROUP, "accountName": "acmedata", "containerName": "data"}, where)


def role(emulator, action: str) -> Declared:
    subscription = emulator.place.subscription_id
    inputs = {
        "roleDefinitionId": OWN,
        "roleName": "own",
        "roleType": "CustomRole",
        "permissions": [{"actions": [], "dataActions": [action]}],
        "assignableScopes": [subscription],
        "scope": subscription,
    }
    return Declared(ROLE, inputs, f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{OWN}")


def assignment(place: str, own_role: Declared, principal: str) -> Declared:
    scope = container(place).id
    inputs = {
        "roleAssignmentName": OWN,
        "roleDefinitionId": own_role.id,
        "principalId": principal,
        "principalType": "ServicePrincipal",
        "scope": scope,
    }
    return Declared(ASSIGNMENT, inputs, f"{scope}/providers/Microsoft.Authorization/roleAssignments/{OWN}")


def test_an_identity_may_what_its_role_says_where_it_is_assigned(cloud, emulator, place):
    principal = cloud.create(identity(place)).outputs["principalId"]
    own_role = role(emulator, READ)
    cloud.create(own_role)
    declared = assignment(place, own_role, principal)
    cloud.create(declared)
    below = f"{container(place).id}/blobs/a"
    assert emulator.policy.decide(principal, READ, below).allowed
    assert not emulator.policy.decide(principal, READ, account(place).id).allowed
    with pytest.raises(Refused, match="existing role assignments"):
        cloud.delete(own_role)
    for each in (declared, own_role, identity(place)):
        cloud.delete(each)
        assert cloud.read(each) is None
        cloud.delete(each)
    assert not emulator.policy.decide(principal, READ, below).allowed


def test_an_identity_tells_the_ids_by_which_others_know_it(cloud, emulator, place):
    outputs = cloud.create(identity(place)).outputs
    known = emulator.principals.find(identity(place).id)
    assert outputs == {
        "principalId": known.object_id,
        "clientId": known.client_id,
        "tenantId": emulator.place.tenant,
    }


@pytest.mark.parametrize("declare", [identity, account, container])
def test_a_second_one_of_a_name_is_told_to_exist(cloud, place, declare):
    cloud.create(declare(place))
    with pytest.raises(Refused) as caught:
        cloud.create(declare(place))
    assert caught.value.exists


def test_an_identity_of_a_stack_keeps_the_rights_that_the_stack_gave_it(cloud, emulator, place):
    principal = cloud.create(identity(place)).outputs["principalId"]
    for _ in range(2):
        emulator.environment("acme", identities={"trainer": identity(place).id})
        assert emulator.policy.policies(principal) == {}


def test_an_account_goes_with_all_that_it_holds(cloud, emulator, place):
    cloud.create(account(place))
    cloud.create(container(place))
    emulator.storage.write("https://acmedata.blob.core.windows.net/data/a", b"text")
    assert cloud.read(container(place)) == {}
    cloud.delete(container(place))
    assert cloud.read(container(place)) is None
    cloud.delete(account(place))
    assert cloud.read(account(place)) is None
    cloud.delete(account(place))


def test_a_shell_is_put_with_its_identity_and_changes_its_tags_in_place(cloud, emulator, place):
    cloud.create(account(place))
    cloud.create(identity(place))
    workspace = f"{place}/Microsoft.MachineLearningServices/workspaces/acme"
    inputs = {
        **IN_GROUP,
        "workspaceName": "acme",
        "location": "westeurope",
        "storageAccount": account(place).id,
        "identity": {"type": "SystemAssigned"},
    }
    cloud.create(Declared(WORKSPACE, inputs, workspace))
    shell = {
        **IN_GROUP,
        "workspaceName": "acme",
        "endpointName": "credit",
        "location": "westeurope",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": [identity(place).id]},
        "properties": {"authMode": "Key"},
        "tags": {"team": "risk"},
    }
    declared = Declared(ENDPOINT, shell, f"{workspace}/onlineEndpoints/credit")
    cloud.create(declared)
    assert cloud.read(declared) == {"tags": {"team": "risk"}}
    changed = Declared(ENDPOINT, {**shell, "tags": {"team": "fraud"}}, declared.id)
    cloud.update(changed, shell)
    assert cloud.read(changed) == {"tags": {"team": "fraud"}}
    for each in (declared, Declared(WORKSPACE, inputs, workspace)):
        cloud.delete(each)
        assert cloud.read(each) is None
    assert emulator.leftovers() == []


def test_what_the_service_refuses_is_told_in_its_words(cloud, emulator, place):
    shell = {**IN_GROUP, "workspaceName": "nowhere", "endpointName": "e", "location": "westeurope", "properties": {}}
    where = f"{place}/Microsoft.MachineLearningServices/workspaces/nowhere/onlineEndpoints/e"
    with pytest.raises(Refused, match="PUT /subscriptions"):
        cloud.create(Declared(ENDPOINT, shell, where))


def test_an_identity_that_somebody_else_made_tells_its_ids_too(cloud, emulator, place):
    outputs = cloud.create(identity(place)).outputs
    stranger = Declared(IDENTITY, {"resourceName": "trainer"}, identity(place).id)
    assert cloud.read(stranger) == outputs
    assert cloud.read(Declared(IDENTITY, identity(place).inputs, stranger.id, outputs)) == {}


class TestTemplates:
    """What a template in the group says is put word for word; its record goes by itself."""

    @staticmethod
    def template(place: str, mode: str = "Incremental", **tags: str) -> Declared:
        each = {
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
            "apiVersion": "2023-01-31",
            "name": "trainer",
            "location": "westeurope",
            "tags": tags,
        }
        properties = {"mode": mode, "template": {"resources": [each]}}
        where = f"{place}/Microsoft.Resources/deployments/own"
        return Declared("azure-native:resources:Deployment", {**IN_GROUP, "properties": properties}, where)

    def test_its_resources_stand_and_stay_when_the_record_goes(self, cloud, emulator, place):
        declared = self.template(place)
        cloud.create(declared)
        assert emulator.principals.find(identity(place).id)
        assert cloud.read(declared) == {}
        with pytest.raises(Refused) as caught:
            cloud.create(declared)
        assert caught.value.exists
        cloud.update(self.template(place, team="risk"), declared.inputs)
        cloud.delete(declared)
        assert cloud.read(declared) is None
        assert emulator.principals.find(identity(place).id)

    def test_what_would_have_to_be_worked_out_is_refused(self, cloud, place):
        with pytest.raises(Refused, match="expression"):
            cloud.create(self.template(place, team="[resourceGroup().id]"))
        with pytest.raises(Refused, match="Incremental"):
            cloud.create(self.template(place, mode="Complete"))
        cloud.create(self.template(place, team="[[risk]", note="[sic"))
