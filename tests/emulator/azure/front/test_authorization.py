"""Who may do what: seeded roles, roles and assignments over the wire, identities that requests name, Entra ID."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from mlinfra.emulator.azure.identity.roles import BUILT_IN, guid
from mlinfra.emulator.azure.operations import Request
from mlinfra.emulator.calls import Call, Refusal

AUTHORIZATION = "2022-04-01"
MODEL = {"properties": {"modelUri": "https://acct.blob.core.windows.net/artefacts/m"}}


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def test_a_refusal_names_caller_action_and_scope(emulator, environment, arm):
    answer = arm("PUT", "models/m/versions/1", MODEL, principal="server")
    assert code(answer) == (403, "AuthorizationFailed")
    message = answer.json()["error"]["message"]
    assert emulator.credentials("server").principal.object_id in message
    assert "'Microsoft.MachineLearningServices/workspaces/models/versions/write'" in message
    assert f"'{emulator.place.child('models', 'm', 'versions', '1')}'" in message
    assert arm("GET", "models", principal="approver").status_code == 200


@pytest.mark.parametrize("principal", ["deployer", "trainer", "server"])
def test_nobody_but_the_approver_writes_approvals(emulator, environment, session, principal):
    account, _, container = environment.stores["approvals"].uri.removeprefix("https://").partition("/")
    url = f"{emulator.secure}/{account.partition('.')[0]}/{container}/decision"
    headers = {"x-ms-version": "2023-11-03", "x-ms-blob-type": "BlockBlob"}
    assert session(principal).put(url, data=b"yes", headers=headers).status_code == 403
    assert session("approver").put(url, data=b"yes", headers=headers).status_code == 201


def test_an_owner_of_everything_may_not_read_what_is_in_it(emulator, environment):
    somebody = emulator.principals.create("somebody")
    emulator.assignments.assign(somebody.object_id, guid("Owner"), emulator.place.subscription_id)
    uri = f"{environment.stores['artefacts'].uri}/x"
    emulator.storage.write(uri, b"secret")
    with pytest.raises(Refusal):
        emulator.storage.read(uri, somebody.object_id)
    emulator.assignments.assign(somebody.object_id, guid("Storage Blob Data Reader"), emulator.place.group_id)
    assert emulator.storage.read(uri, somebody.object_id) == b"secret"


def test_roles_are_defined_assigned_and_taken_away_over_the_wire(emulator, environment, arm):
    owner = environment.native["credentials"]["principal"]
    emulator.assignments.assign(owner, guid("Owner"), emulator.place.subscription_id)
    workspace, name = emulator.place.workspace_id, str(uuid.uuid4())
    role = f"{emulator.place.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{name}"
    actions = ["Microsoft.MachineLearningServices/workspaces/models/*"]
    permissions = {"actions": actions, "notActions": [f"{actions[0]}delete"]}
    definition = {"properties": {"roleName": "modeller", "assignableScopes": [workspace], "permissions": [permissions]}}
    assert arm("PUT", role, definition, version=AUTHORIZATION).status_code == 201
    assigned = f"{workspace}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    server = emulator.credentials("server").principal.object_id
    body = {"properties": {"roleDefinitionId": role, "principalId": server}}
    assert arm("PUT", "models/m/versions/1", MODEL, principal="server").status_code == 403
    assert arm("PUT", assigned, body, version=AUTHORIZATION).status_code == 201
    assert arm("PUT", "models/m/versions/1", MODEL, principal="server").status_code == 201
    assert arm("DELETE", "models/m/versions/1", principal="server").status_code == 403
    listed = arm(
        "GET", assigned.rpartition("/")[0], version=AUTHORIZATION, __filter=f"principalId eq '{server}'"
    ).json()
    assert assigned in [each["id"] for each in listed["value"]]
    assert code(arm("DELETE", role, version=AUTHORIZATION)) == (409, "RoleDefinitionHasAssignments")
    assert arm("DELETE", assigned, version=AUTHORIZATION).status_code == 200
    assert arm("GET", "models", principal="server").status_code == 403
    assert arm("DELETE", role, version=AUTHORIZATION).status_code == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"roleDefinitionId": "/roleDefinitions/none"}, "RoleDefinitionDoesNotExist"),
        ({"principalId": str(uuid.UUID(int=7))}, "PrincipalNotFound"),
        ({"condition": "@Resource[x] StringEquals 'y'"}, "NotImplemented"),
    ],
)
def test_assignments_that_mean_nothing_are_refused(emulator, environment, arm, change, told):
    owner = environment.native["credentials"]["principal"]
    emulator.assignments.assign(owner, guid("Owner"), emulator.place.subscription_id)
    path = f"{emulator.place.workspace_id}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    properties = {"roleDefinitionId": f"/x/roleDefinitions/{guid('Reader')}", "principalId": owner, **change}
    assert arm("PUT", path, {"properties": properties}, version=AUTHORIZATION).json()["error"]["code"] == told


def test_callers_learn_what_they_may(emulator, environment, arm):
    path = f"{emulator.place.workspace_id}/providers/Microsoft.Authorization/permissions"
    told = arm("GET", path, version=AUTHORIZATION).json()["value"]
    assert list(BUILT_IN[guid("AzureML Data Scientist")].actions) in [each["actions"] for each in told]


def test_an_identity_is_assigned_by_who_may(emulator, environment):
    deployer = environment.native["credentials"]["principal"]
    call = Call("p", "Things_Put", principal=deployer)
    request = Request("/x", {}, "PUT", {}, "v", principal=deployer, call=call)
    trainer = environment.identities["trainer"]
    spelled = trainer.replace("resourceGroups", "resourcegroups")
    assert emulator.assign(request, spelled) == emulator.credentials("trainer").principal.object_id
    with pytest.raises(Refusal, match="AuthorizationFailed"):
        emulator.assign(request, environment.identities["approver"])
    with pytest.raises(Refusal, match="AuthorizationFailed"):
        emulator.assign(replace(request, call=Call("p", "Things_Put", principal="nobody")), trainer)


def test_identities_come_and_go_over_the_wire(emulator, environment, arm):
    owner = environment.native["credentials"]["principal"]
    emulator.assignments.assign(owner, guid("Contributor"), emulator.place.group_id)
    path = emulator.place.id("Microsoft.ManagedIdentity", "userAssignedIdentities", "fresh")
    made = arm("PUT", path, {"location": "westeurope"}, version="2023-01-31")
    assert made.status_code == 201
    assert emulator.principals.find(path).client_id == made.json()["properties"]["clientId"]
    assert arm("DELETE", path, version="2023-01-31").status_code == 200
    assert code(arm("GET", path, version="2023-01-31")) == (404, "ResourceNotFound")


class TestEntraId:
    @pytest.fixture
    def login(self, emulator, environment, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))
        shown = environment.native["credentials"]

        def make(**changes: str) -> ClientSecretCredential:
            known = {
                "tenant_id": shown["tenant"],
                "client_id": shown["client_id"],
                "client_secret": shown["client_secret"],
            }
            return ClientSecretCredential(
                **{**known, **changes}, authority=emulator.secure, disable_instance_discovery=True
            )

        return make

    def test_a_secret_gets_a_token_for_one_service(self, emulator, login):
        token = login().get_token("https://management.azure.com/.default").token
        issued = emulator.principals.issued(token)
        assert issued.object_id == emulator.credentials().principal.object_id
        assert issued.audience == "https://management.azure.com"
        authorized = {"Authorization": f"Bearer {token}"}
        url = f"{emulator.secure}{emulator.place.workspace_id}?api-version=2025-12-01"
        told = requests.get(url, headers=authorized, verify=str(emulator.ca_file), timeout=10)
        assert told.status_code == 200
        blob = f"{emulator.secure}/acct/artefacts/x"
        headers = {**authorized, "x-ms-version": "2023-11-03"}
        assert requests.get(blob, headers=headers, verify=str(emulator.ca_file), timeout=10).status_code == 401

    @pytest.mark.parametrize(
        "changes",
        [{"client_secret": "wrong"}, {"client_id": str(uuid.UUID(int=3))}],
    )
    def test_whoever_is_not_known_gets_none(self, login, changes):
        with pytest.raises(ClientAuthenticationError, match="AADSTS70"):
            login(**changes).get_token("https://management.azure.com/.default")

    def test_another_tenant_is_not_found(self, login):
        with pytest.raises(ClientAuthenticationError):
            login(tenant_id=str(uuid.UUID(int=9))).get_token("https://management.azure.com/.default")


def test_the_approver_marks_models_and_makes_no_jobs(emulator, environment, arm):
    assert arm("PUT", "models/m/versions/1", MODEL).status_code == 201
    marked = {"properties": {**MODEL["properties"], "tags": {"approved": "yes"}}}
    assert arm("PUT", "models/m/versions/1", marked, principal="approver").status_code == 200
    assert arm("DELETE", "models/m/versions/1", principal="approver").status_code == 403
    assert arm("DELETE", "jobs/j", principal="approver").status_code == 403
