"""Codes, environments, data, models: containers and versions, archives, uploads, registries, datastores, workspaces."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import requests

from mlinfra.emulator.azure.identity.roles import guid

URI = "https://acct.blob.core.windows.net/artefacts/m"
KINDS = {
    "codes": {"codeUri": URI},
    "environments": {"image": "python:3.11"},
    "data": {"dataType": "uri_folder", "dataUri": URI},
    "models": {"modelUri": URI},
}


def put(arm, path, **properties):
    return arm("PUT", path, {"properties": properties})


def names(answer):
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["value"]]


def kind(answer):
    error = answer.json()["error"]
    inner = next(each for each in error["additionalInfo"] if each["type"] == "InnerError")
    return answer.status_code, error["code"], inner["info"]["value"]["code"]


@pytest.fixture
def over(arm):
    """The result of an operation that goes on."""

    def wait(answer: requests.Response) -> requests.Response:
        assert answer.status_code in {200, 201, 202}, answer.text
        address = answer.headers.get("Azure-AsyncOperation") or answer.headers["Location"]
        while (told := arm("GET", address)).status_code == 202 or (
            told.content and told.json().get("status") == "InProgress"
        ):
            time.sleep(0.01)
        return told

    return wait


@pytest.mark.parametrize("scheme", KINDS)
def test_a_version_makes_its_container_and_is_told_the_same_ever_after(arm, environment, scheme):
    made = put(arm, f"{scheme}/mine/versions/1", **KINDS[scheme], tags={"a": "b"})
    assert made.status_code == 201
    document = made.json()
    assert document["type"] == f"Microsoft.MachineLearningServices/workspaces/{scheme}/versions"
    assert document["properties"]["provisioningState"] == "Succeeded"
    assert document["properties"]["tags"] == {"a": "b"}
    assert document["systemData"]["createdBy"] == environment.native["credentials"]["principal"]
    assert arm("GET", f"{scheme}/mine/versions/1").json() == document
    container = arm("GET", f"{scheme}/mine").json()["properties"]
    assert (container["latestVersion"], container["nextVersion"]) == ("1", "2")
    assert put(arm, f"{scheme}/mine/versions/1", **KINDS[scheme], tags={"a": "b"}).status_code == 200
    assert names(arm("GET", scheme)) == ["mine"]


@pytest.mark.parametrize(("scheme", "member"), [("models", "modelUri"), ("data", "dataUri"), ("codes", "codeUri")])
def test_where_a_version_points_is_for_ever(arm, environment, scheme, member):
    put(arm, f"{scheme}/mine/versions/1", **KINDS[scheme])
    answer = put(arm, f"{scheme}/mine/versions/1", **{**KINDS[scheme], member: f"{URI}2"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Asset paths cannot be updated.")
    assert arm("GET", f"{scheme}/mine/versions/1").json()["properties"][member] == URI


def test_what_an_environment_is_made_of_is_for_ever(arm, environment):
    put(arm, "environments/e/versions/1", image="python:3.11")
    assert kind(put(arm, "environments/e/versions/1", image="python:3.12"))[0] == 409
    assert put(arm, "environments/e/versions/1", image="python:3.11", osType="Linux").status_code == 200


def test_words_about_a_version_change_and_those_left_out_go(arm, environment):
    put(arm, "models/m/versions/1", modelUri=URI, tags={"a": "b"}, stage="dev", description="first")
    put(arm, "models/m/versions/1", modelUri=URI, tags={"c": "d"}, stage="prod")
    told = arm("GET", "models/m/versions/1").json()["properties"]
    assert (told["tags"], told["stage"], told["description"]) == ({"c": "d"}, "prod", None)


def test_what_is_not_there_is_not_found_and_lists_of_it_are_empty(arm, environment):
    assert kind(arm("GET", "models/none/versions/1")) == (404, "UserError", "NotFound")
    assert kind(arm("GET", "models/none")) == (404, "UserError", "NotFound")
    assert names(arm("GET", "models/none/versions")) == []
    assert arm("DELETE", "models/none/versions/1").status_code == 204


def test_deleting_takes_a_version_and_a_container_all_of_them(arm, environment, emulator):
    for version in "12":
        put(arm, f"models/m/versions/{version}", modelUri=URI)
    assert arm("DELETE", "models/m/versions/1").status_code == 200
    assert names(arm("GET", "models/m/versions")) == ["2"]
    assert emulator.leftovers() == [emulator.place.child("models", "m", "versions", "2")]
    assert arm("DELETE", "models/m").status_code == 200
    assert names(arm("GET", "models")) == []
    assert emulator.leftovers() == []


def test_lists_hide_what_is_archived_unless_asked(arm, environment):
    for version in "12":
        put(arm, f"models/m/versions/{version}", modelUri=URI, isArchived=version == "1")
    assert names(arm("GET", "models/m/versions")) == ["2"]
    assert names(arm("GET", "models/m/versions", listViewType="ArchivedOnly")) == ["1"]
    assert names(arm("GET", "models/m/versions", listViewType="All")) == ["2", "1"]
    assert kind(arm("GET", "models/m/versions", listViewType="Some"))[0] == 400


def test_lists_are_ordered_and_filtered(emulator, arm, environment):
    for number in range(1, 4):
        tags = {"stage": "dev" if number < 3 else "prod", "n": str(number)}
        put(arm, f"models/m/versions/{number}", modelUri=URI, tags=tags)
    assert names(arm("GET", "models/m/versions")) == ["3", "2", "1"]
    assert names(arm("GET", "models/m/versions", __orderBy="createdtime asc")) == ["1", "2", "3"]
    assert names(arm("GET", "models/m/versions", tags="stage=dev,n")) == ["2", "1"]
    whole = f"{emulator.secure}{emulator.place.child('models', 'm', 'versions')}"
    assert names(arm("GET", f"{whole}?version=2&api-version=2025-12-01")) == ["2"]
    assert kind(arm("GET", "models/m/versions", __orderBy="size"))[0] == 400


def test_code_is_found_by_its_hash_whatever_its_name(arm, environment):
    held = {"hash_sha256": "abc", "hash_version": "202208"}
    put(arm, "codes/first/versions/1", codeUri=URI, properties=held)
    put(arm, "codes/second/versions/1", codeUri=URI, properties={**held, "hash_sha256": "def"})
    told = arm("GET", "codes/new/versions", hash="abc", hashVersion="202208").json()["value"]
    assert [each["id"].split("/")[-3] for each in told] == ["first"]
    assert names(arm("GET", "codes/new/versions", hash="abc", hashVersion="1")) == []
    assert names(arm("GET", "codes/new/versions")) == []


def test_a_model_that_a_deployment_runs_is_not_deleted(arm, environment, emulator, monkeypatch):
    put(arm, "models/m/versions/1", modelUri=URI)
    used = emulator.place.child("onlineEndpoints", "e", "deployments", "blue")
    monkeypatch.setattr(emulator.endpoints, "deployed", lambda name: [used] if name.endswith("/m/versions/1") else [])
    assert kind(arm("DELETE", "models/m/versions/1")) == (409, "UserError", "ModelInUse")
    assert kind(arm("DELETE", "models/m")) == (409, "UserError", "ModelInUse")
    assert arm("GET", "models/m/versions/1").status_code == 200


def test_files_are_brought_to_an_address_that_lets_write_for_an_hour(emulator, environment, arm):
    asked = {"pendingUploadType": "TemporaryBlobReference"}
    told = arm("POST", "codes/abc/versions/1/startPendingUpload", asked).json()
    reference = told["blobReferenceForConsumption"]
    assert reference["blobUri"].startswith("https://")
    base, _, signature = reference["credential"]["sasUri"].partition("?")
    written = {"x-ms-blob-type": "BlockBlob"}
    verify = str(emulator.ca_file)
    answer = requests.put(f"{base}/train.py?{signature}", data=b"print()", headers=written, verify=verify, timeout=10)
    assert answer.status_code == 201
    assert emulator.storage.read(f"{reference['blobUri']}/train.py") == b"print()"
    emulator.clock.advance(3601)
    late = requests.put(f"{base}/train.py?{signature}", data=b"no", headers=written, verify=verify, timeout=10)
    assert late.status_code == 403
    again = arm("POST", "codes/abc/versions/1/startPendingUpload", asked).json()
    assert again["blobReferenceForConsumption"]["blobUri"] != reference["blobUri"]


def test_a_registry_takes_versions_slowly_and_copies_of_published_ones(emulator, environment, arm, over):
    emulator.registries.create("shared")
    deployer = environment.native["credentials"]["principal"]
    registry = emulator.registries.find("shared").id
    store = environment.stores["artefacts"].uri
    emulator.storage.write(f"{store}/m/model.json", b"{}")
    put(arm, "models/m/versions/1", modelUri=f"{store}/m", tags={"a": "b"})
    wanted = {"registryName": "shared", "destinationName": "n", "destinationVersion": "7"}
    refused = arm("POST", "models/m/versions/1/publish", wanted)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "AuthorizationFailed")
    emulator.assignments.assign(deployer, guid("AzureML Registry User"), registry)
    over(arm("POST", "models/m/versions/1/publish", wanted))
    copy = arm("GET", f"{registry}/models/n/versions/7").json()["properties"]
    assert copy["tags"] == {"a": "b"}
    emulator.storage.write(f"{store}/m/model.json", b"changed")
    assert emulator.storage.read(f"{copy['modelUri']}/model.json") == b"{}"
    assert kind(arm("POST", "models/m/versions/1/publish", wanted))[0] == 409
    made = arm("PUT", f"{registry}/models/n/versions/8", {"properties": {"modelUri": URI}})
    assert over(made).json()["status"] == "Succeeded"
    assert names(arm("GET", f"{registry}/models/n/versions")) == ["8", "7"]


def test_datastores_are_opened_in_the_callers_name(arm, environment):
    assert names(arm("GET", "datastores", isDefault="true")) == ["workspaceblobstore"]
    told = arm("GET", "datastores/workspaceblobstore").json()["properties"]
    assert told["credentials"] == {"credentialsType": "None"}
    assert arm("POST", "datastores/workspaceblobstore/listSecrets", {}).status_code == 400
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": "acct",
        "containerName": "data",
        "credentials": {"credentialsType": "None"},
    }
    assert put(arm, "datastores/mine", **properties).status_code == 201
    assert "mine" in names(arm("GET", "datastores"))
    assert arm("DELETE", "datastores/mine").status_code == 200
    assert kind(arm("GET", "datastores/mine"))[0] == 404
    other = put(
        arm,
        "datastores/x",
        datastoreType="AzureFile",
        accountName="a",
        fileShareName="f",
        credentials={"credentialsType": "None"},
    )
    assert other.status_code == 501


def test_the_output_of_a_job_is_kept_as_the_path_that_it_is(arm, environment, emulator, monkeypatch):
    output = {"uri": "azureml://datastores/workspaceblobstore/paths/azureml/j/model/"}
    record = SimpleNamespace(asked={"outputs": {"model": output}})
    monkeypatch.setattr(emulator.jobs, "get", lambda _name: record)
    told = put(arm, "models/m/versions/1", modelUri="azureml://jobs/j/outputs/model/paths/best").json()["properties"]
    assert told["modelUri"].endswith("/workspaces/mlinfra/datastores/workspaceblobstore/paths/azureml/j/model/best")


def test_workspaces_are_made_changed_and_deleted_by_who_may(emulator, environment, arm, over):
    owner = environment.native["credentials"]["principal"]
    group = emulator.place.group_id
    path = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/second"
    account = emulator.place.id("Microsoft.Storage", "storageAccounts", "second1")
    body = {"location": "westeurope", "properties": {"storageAccount": account}, "identity": {"type": "SystemAssigned"}}
    assert arm("PUT", path, body).status_code == 403
    emulator.assignments.assign(owner, guid("Contributor"), group)
    assert over(arm("PUT", path, body)).json()["status"] == "Succeeded"
    told = arm("GET", path).json()
    assert told["properties"]["storageAccount"] == account
    assert told["identity"]["principalId"]
    arm("PATCH", path, {"tags": {"a": "b"}})
    assert arm("GET", path).json()["tags"] == {"a": "b"}
    arm("PUT", f"{path}/models/m/versions/1", {"properties": {"modelUri": URI}})
    assert names(arm("GET", path.rpartition("/")[0])) == ["mlinfra", "second"]
    over(arm("DELETE", path))
    assert arm("GET", path).status_code == 404
    assert emulator.leftovers() == []
