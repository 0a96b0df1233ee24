"""Bodies against the vendor's models of the api-version that a request names."""

from __future__ import annotations

import pytest

from mlinfra.emulator.azure import catalogue
from mlinfra.emulator.azure.names import ML
from mlinfra.emulator.azure.wire.schemas import key, published, schemas, versions
from mlinfra.emulator.azure.wire.validate import checked
from mlinfra.emulator.calls import Refusal

COMMAND = {
    "jobType": "Command",
    "command": "python train.py",
    "environmentId": "/subscriptions/s/environments/e/versions/1",
}


def model(**properties):
    return {"properties": {"modelUri": "https://a.blob.core.windows.net/c/m", **properties}}


def problems(name, body, version="2025-12-01", *, partial=False):
    known = schemas(version)
    assert known is not None
    with pytest.raises(Refusal) as caught:
        checked(known, name, body, partial=partial)
    assert (caught.value.status, caught.value.code) == (400, "UserError")
    return {each["target"]: each["message"] for each in caught.value.details["details"]}


def passed(name, body, version="2025-12-01", *, partial=False):
    known = schemas(version)
    assert known is not None
    return checked(known, name, body, partial=partial)


def test_unknown_members_are_refused_with_all_other_problems_at_once(arm, environment):
    answer = arm("PUT", "models/m/versions/1", model(colour="red", tags=["a"], isArchived="yes"))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "UserError"
    assert [each["target"] for each in error["details"]] == [
        "properties.colour",
        "properties.tags",
        "properties.isArchived",
    ]
    assert "Could not find member 'colour' on object of type 'ModelVersionProperties'" in error["message"]
    assert arm("GET", "models/m/versions/1").status_code == 404


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"command": None}, "properties.command"),
        ({"jobType": "Dance"}, "properties.jobType"),
        ({"jobType": None}, "properties.jobType"),
        ({"limits": {"jobLimitsType": "Command", "timeout": "an hour"}}, "properties.limits.timeout"),
        ({"resources": {"instanceCount": "two"}}, "properties.resources.instanceCount"),
        ({"resources": {"instanceCount": 1.5}}, "properties.resources.instanceCount"),
        ({"queueSettings": {"jobTier": "Cheap"}}, "properties.queueSettings.jobTier"),
        ({"inputs": {"x": {"jobInputType": "uri_folder"}}}, "properties.inputs.x.uri"),
        ({"distribution": {"distributionType": "Mpi", "workers": 2}}, "properties.distribution.workers"),
    ],
)
def test_a_jobs_body_is_held_against_its_model(change, target):
    assert list(problems("JobBase", {"properties": {**COMMAND, **change}})) == [target]


def test_values_of_enumerations_get_their_published_spelling():
    body = {"properties": {**COMMAND, "jobType": "command", "queueSettings": {"jobTier": "spot"}}}
    found = passed("JobBase", body)["properties"]
    assert (found["jobType"], found["queueSettings"]["jobTier"]) == ("Command", "Spot")


def test_what_the_service_alone_tells_is_passed_over():
    body = {"id": "mine", "systemData": {}, "properties": {**COMMAND, "status": "Completed"}}
    assert passed("JobBase", body) == {"properties": COMMAND}


def test_a_number_is_taken_for_a_text_and_nothing_else_is():
    body = model(properties={"hash_version": 202208, "yes": True})
    assert passed("ModelVersion", body)["properties"]["properties"] == {"hash_version": "202208", "yes": "true"}
    wrong = problems("ModelVersion", model(tags={"a": {"b": 1}}))
    assert "System.String" in wrong["properties.tags.a"]


def test_a_patch_requires_nothing_and_keeps_nulls():
    name = "PartialMinimalTrackedResourceWithIdentity"
    assert passed(name, {"tags": {"a": None}}, partial=True) == {"tags": {"a": None}}
    assert list(problems(name, {"properties": {}}, partial=True)) == ["properties"]


@pytest.mark.parametrize(
    ("version", "known"),
    [("2022-05-01", False), ("2023-04-01", False), ("2024-01-01-preview", True), ("2025-12-01", True)],
)
def test_each_version_has_its_own_models(version, known):
    name = (schemas(version) or pytest.fail(version)).body(
        "PUT", "/subscriptions/{s}/resourceGroups/{g}/providers/x/workspaces/{w}/jobs/{id}".replace("x", ML)
    )
    body = {"properties": {**COMMAND, "queueSettings": {"jobTier": "Spot"}}}
    if known:
        assert passed(name, body, version)["properties"]["queueSettings"] == {"jobTier": "Spot"}
    else:
        assert list(problems(name, body, version)) == ["properties.queueSettings"]


def test_a_request_is_validated_by_the_version_that_it_names(arm, environment):
    stage = model(stage="prod")
    assert arm("PUT", "models/m/versions/1", stage, version="2022-05-01").status_code == 400
    assert arm("PUT", "models/m/versions/1", stage, version="2023-08-01-preview").status_code == 201


def test_an_operation_that_a_version_does_not_have_is_refused(arm, environment):
    answer = arm("POST", "codes/c/versions/1/startPendingUpload", {}, version="2022-05-01")
    assert answer.json()["error"]["code"] == "NoRegisteredProviderFound"
    assert "'2022-05-01'" in answer.json()["error"]["message"]
    assert "2025-12-01" in answer.json()["error"]["message"]


def test_patterns_of_the_older_models_hold():
    body = {"properties": {**COMMAND, "command": "§§"}}
    assert "pattern" in problems("JobBase", body, "2023-04-01")["properties.command"]


@pytest.mark.parametrize("version", versions())
def test_every_kept_model_can_be_read(version):
    known = schemas(version)
    assert known is not None
    scalars = {"str", "int", "float", "bool", "object", "datetime", "duration"}
    for name in known._models:
        found = known.model(name)
        assert found is not None
        for member in found.members.values():
            core = member.kind.strip("[]{}")
            assert core in scalars or known.values(core) is not None or known.model(core) is not None


def test_operations_have_the_names_and_paths_of_the_vendors_client():
    own = {each.name: key(each.method, each.path) for each in catalogue.operations() if each.service == ML}
    followed = {name for name in own if name.startswith("Operations_Get")}  # of long-running ones: not in the client
    assert {name: own[name] for name in own if name not in followed} == {
        name: path for name, path in published().items() if name in own
    }
