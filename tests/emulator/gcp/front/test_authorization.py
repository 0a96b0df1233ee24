"""Who may do what: every method asks for its permission, roles give no more than they hold, policies go by the wire."""

from __future__ import annotations

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as vertex
from google.rpc import error_details_pb2, status_pb2

from mlinfra.emulator.gcp import catalogue
from mlinfra.emulator.gcp.wire import longrunning, rpcs
from mlinfra.emulator.gcp.wire.messages import plain
from mlinfra.emulator.settings import Settings

IMAGE = "europe-west4-docker.pkg.dev/mlinfra-emulated/mlinfra/serving:1"
METHODS = sorted(catalogue.table())
_PATHS = {"Operations": "google.longrunning.Operations"}


def path(service: str, name: str) -> str:
    return f"/{_PATHS.get(service, f'{rpcs.PACKAGE}.{service}')}/{name}"


def minimal(service: str, name: str, parent: str):
    """A request with nothing but the names on which permissions are asked."""
    kind = longrunning.MESSAGES[name][0] if service == "Operations" else rpcs.rpcs(service)[name].request
    request = plain(kind())
    fields = request.DESCRIPTOR.fields_by_name
    for member in ("parent", "name", "endpoint", "model"):
        if member in fields and fields[member].message_type is None:
            setattr(request, member, parent if member == "parent" else f"{parent}/things/1")
        elif member in fields and "name" in fields[member].message_type.fields_by_name:
            getattr(request, member).name = f"{parent}/things/1"
    return request


@pytest.mark.parametrize("method", METHODS, ids="-".join)
def test_every_method_is_refused_without_its_permission(emulator, environment, channel, parent, method):
    service, name = method
    permission = catalogue.table()[service, name].permission
    call = channel().unary_unary(path(service, name))
    with (
        emulator.policy.without(environment.identities["deployer"], permission),
        pytest.raises(grpc.RpcError) as told,
    ):
        call(minimal(service, name, parent).SerializeToString(), timeout=10)
    assert told.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert f"'{permission}' denied on resource '//aiplatform.googleapis.com/{parent}" in told.value.details()
    info = error_details_pb2.ErrorInfo()
    trailing = dict(told.value.trailing_metadata())["grpc-status-details-bin"]
    assert status_pb2.Status.FromString(trailing).details[0].Unpack(info)
    assert (info.reason, info.metadata["permission"]) == ("IAM_PERMISSION_DENIED", permission)


def test_a_viewer_looks_and_changes_nothing(client, parent):
    models = client("ModelService", "approver")
    assert list(models.list_models(parent=parent)) == []
    with pytest.raises(exceptions.PermissionDenied, match=r"aiplatform\.models\.upload"):
        models.upload_model(parent=parent, model=vertex.Model(display_name="x"))


def test_to_name_a_service_account_is_to_act_as_it(client, parent, environment, emulator):
    models = client("ModelService")
    model = vertex.Model({"display_name": "credit", "container_spec": {"image_uri": IMAGE}})

    def upload(account: str):
        return models.upload_model(request={"parent": parent, "model": model, "service_account": account})

    assert upload(environment.identities["trainer"]).result(timeout=20).model
    with pytest.raises(exceptions.PermissionDenied, match=r"iam\.serviceAccounts\.actAs"):
        upload(environment.identities["approver"])
    ghost = f"ghost@{emulator.project}.iam.gserviceaccount.com"
    resource = f"projects/{emulator.project}/serviceAccounts/{ghost}"
    member = f"serviceAccount:{environment.identities['deployer']}"
    emulator.identity.bindings.grant(resource, "roles/iam.serviceAccountUser", member)
    with pytest.raises(exceptions.InvalidArgument, match="does not exist"):
        upload(ghost)


def test_permissions_can_be_asked_for(emulator, session, environment):
    wanted = ["aiplatform.models.upload", "storage.buckets.create", "resourcemanager.projects.get"]

    def held(principal: str, resource: str, permissions: list[str]) -> list[str]:
        url = f"{emulator.url}/v1/{resource}:testIamPermissions"
        return session(principal).post(url, json={"permissions": permissions}).json().get("permissions", [])

    project = f"projects/{emulator.project}"
    assert held("deployer", project, wanted) == ["aiplatform.models.upload", "resourcemanager.projects.get"]
    assert held("approver", f"projects/{emulator.project_number}", wanted) == ["resourcemanager.projects.get"]
    account = f"{project}/serviceAccounts/{environment.identities['trainer']}"
    assert held("deployer", account, ["iam.serviceAccounts.actAs"]) == ["iam.serviceAccounts.actAs"]
    assert held("approver", account, ["iam.serviceAccounts.actAs"]) == []


@pytest.fixture
def administrator(emulator, environment):
    """The deployer, who may do everything for once."""
    member = f"serviceAccount:{environment.identities['deployer']}"
    emulator.identity.bindings.grant(f"projects/{emulator.project}", "roles/owner", member)
    return "deployer"


def test_a_policy_that_is_set_counts_at_once(emulator, session, administrator, client, environment):
    base = f"{emulator.url}/v1/projects/{emulator.project}"
    parent = emulator.place.parent
    policy = session(administrator).post(f"{base}:getIamPolicy", json={}).json()
    approver = f"serviceAccount:{environment.identities['approver']}"
    model = vertex.Model({"display_name": "credit", "container_spec": {"image_uri": IMAGE}})
    added = {"role": "roles/aiplatform.user", "members": [approver]}
    answer = session(administrator).post(
        f"{base}:setIamPolicy", json={"policy": {**policy, "bindings": [*policy["bindings"], added]}}
    )
    assert added in answer.json()["bindings"]
    models = client("ModelService", "approver")
    assert models.upload_model(parent=parent, model=model).operation.name
    session(administrator).post(f"{base}:setIamPolicy", json={"policy": policy})
    with pytest.raises(exceptions.PermissionDenied):
        models.upload_model(parent=parent, model=model)


@pytest.mark.parametrize(
    "binding",
    [
        {"role": "roles/made.up", "members": []},
        {"role": "roles/viewer", "members": [], "condition": {"expression": "request.time < timestamp('2026')"}},
    ],
)
def test_a_policy_that_is_not_understood_is_refused_whole(emulator, session, administrator, binding):
    base = f"{emulator.url}/v1/projects/{emulator.project}"
    before = session(administrator).post(f"{base}:getIamPolicy", json={}).json()
    answer = session(administrator).post(f"{base}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert session(administrator).post(f"{base}:getIamPolicy", json={}).json() == before


def test_service_accounts_are_made_impersonated_and_deleted(emulator, session, administrator):
    base = f"{emulator.url}/v1/projects/{emulator.project}/serviceAccounts"
    mine = session(administrator)
    email = mine.post(base, json={"accountId": "night-job"}).json()["email"]
    assert email in {each["email"] for each in mine.get(base).json()["accounts"]}
    assert mine.post(base, json={"accountId": "night-job"}).status_code == 409
    token = mine.post(f"{base}/{email}:generateAccessToken", json={}).json()["accessToken"]
    assert emulator.principals.holder(token) == email
    assert session("approver").post(f"{base}/{email}:generateAccessToken", json={}).status_code == 403
    assert mine.delete(f"{base}/{email}").json() == {}
    assert mine.get(f"{base}/{email}").status_code == 404
    with pytest.raises(Exception, match="UNAUTHENTICATED"):
        emulator.principals.holder(token)


def test_the_project_tells_its_number(emulator, session):
    answer = session().get(f"{emulator.url}/v1/projects/{emulator.project}").json()
    assert (answer["projectId"], answer["projectNumber"]) == (emulator.project, emulator.project_number)
    assert session().get(f"{emulator.url}/v1/projects/somebody-elses").status_code == 403


@pytest.mark.parametrize("emulator_settings", [Settings(delays_scale=0.0, quotas=False, enforce_policy=False)])
def test_permissions_need_not_be_enforced(client, parent):
    models = client("ModelService", "server")
    model = vertex.Model({"display_name": "credit", "container_spec": {"image_uri": IMAGE}})
    assert models.upload_model(parent=parent, model=model).operation.name
