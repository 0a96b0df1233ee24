"""What the service refuses, in its words, with nothing done."""

from __future__ import annotations

import pytest

INPUT = {"jobInputType": "uri_folder", "uri": "azureml://datastores/workspaceblobstore/paths/x/"}


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        ("echo ${{inputs.x}}", {}, "The input 'x' that ${{inputs.x}} refers to is not defined"),
        ("echo ${{outputs.y}}", {"inputs": {"x": INPUT}}, "The output 'y'"),
        ("echo ${{parent.x}}", {}, "The expression 'parent.x'"),
        ("  ", {}, "must not be empty"),
        ("echo", {"inputs": {"a-b": INPUT}}, "The name 'a-b' of inputs is invalid"),
        ("echo", {"resources": {"instanceCount": 65}}, "at most 64, the nodes of cpu-cluster, not 65"),
        ("echo", {"computeId": None, "resources": {"instanceType": "Standard_Nothing"}}, "Standard_Nothing"),
        ("echo", {"queueSettings": {"jobTier": "Spot"}}, "serverless"),
        ("echo", {"limits": {"jobLimitsType": "Command", "timeout": "P22D"}}, "at most 21 days"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(jobs, emulator, command, more, words):
    reply = jobs.put("wrong", command, **more)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] in {"UserError", "ValidationError"}
    assert words in error["message"]
    assert emulator.leftovers() == []


def test_what_a_job_names_must_be_there(jobs, emulator):
    child = emulator.place.child
    missing = {
        "environmentId": child("environments", "none", "versions", "1"),
        "codeId": child("codes", "none", "versions", "1"),
        "computeId": child("computes", "none"),
    }
    for member, name in missing.items():
        reply = jobs.put("wrong", **{member: name})
        assert reply.status_code == 404, member
        assert "none" in reply.json()["error"]["message"]


def test_a_name_must_be_one(jobs):
    reply = jobs.put("-wrong")
    assert reply.status_code == 400
    assert jobs.put("a" * 256).status_code == 400


def test_the_same_job_again_is_the_same_job(jobs):
    jobs.submit("once", "sleep 60", tags={"a": "1"})
    jobs.until("once", "Running")
    again = jobs.put("once", "sleep 60", tags={"a": "2"}, properties={"new": "1"})
    assert again.status_code == 200
    found = jobs.get("once")
    assert (found["tags"], found["status"], found["properties"]["new"]) == ({"a": "2"}, "Running", "1")
    jobs.cancel("once")


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("echo other", {}),
        ("echo done", {"environmentVariables": {"A": "1"}}),
        ("echo done", {"properties": {"kept": "other"}}),
    ],
)
def test_what_cannot_change_is_refused(jobs, command, more):
    jobs.submit("fixed", properties={"kept": "1"})
    reply = jobs.put("fixed", command, **more)
    assert reply.status_code == 400
    assert reply.json()["error"]["additionalInfo"][1]["info"]["value"]["code"] == "ImmutableProperty"
    assert jobs.get("fixed")["command"] == "echo done"


def test_other_kinds_of_jobs_are_not_emulated(jobs, arm):
    body = {"properties": {"jobType": "Pipeline", "jobs": {}}}
    assert arm("PUT", "jobs/pipeline", body).status_code == 501


def test_an_image_that_is_not_there_fails_the_job(jobs, arm, environment):
    registry = environment.registries["images"]
    made = arm("PUT", "environments/none/versions/1", {"properties": {"image": f"{registry}/none:1"}}).json()["id"]
    jobs.submit("imageless", environmentId=made)
    assert jobs.until("imageless")["status"] == "Failed"
    _, code, words = jobs.error("imageless")
    assert code == "ImageError"
    assert "none:1" in words


def test_who_may_not_is_refused(jobs, arm, emulator):
    body = jobs.described()
    for method, path in (("PUT", "jobs/x"), ("DELETE", "jobs/x"), ("POST", "jobs/x/cancel")):
        reply = arm(method, path, body if method == "PUT" else None, principal="server")
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "AuthorizationFailed")
    assert emulator.leftovers() == []


def test_a_job_runs_as_nobody_whom_its_maker_may_not_assign(jobs, emulator, environment):
    approver = {"identityType": "Managed", "resourceId": environment.identities["approver"]}
    reply = jobs.put("climbs", identity=approver)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "AuthorizationFailed")
    assert emulator.leftovers() == []


def test_a_list_shows_the_newest_first_in_pages_and_only_what_is_asked_for(jobs, arm, session):
    for number in range(4):
        jobs.submit(f"j{number}", tags={"n": str(number), "all": "1"}, properties={"p": str(number % 2), "q": "1"})
    names = [each["name"] for each in arm("GET", "jobs").json()["value"]]
    assert names == ["j3", "j2", "j1", "j0"]
    page = arm("GET", "jobs", __top="3").json()
    rest = session().get(page["nextLink"]).json()
    assert [each["name"] for each in page["value"] + rest["value"]] == names
    assert "nextLink" not in rest

    def asked(**query: str) -> list[str]:
        return [each["name"] for each in arm("GET", "jobs", **query).json()["value"]]

    assert asked(tag="n=2") == ["j2"]
    assert asked(tag="all") == names
    assert asked(properties="p=1,q=1") == ["j3", "j1"]
    assert asked(properties="p=1,q=2") == []
    assert asked(jobType="Sweep") == []
    jobs.put("j0", isArchived=True)
    assert asked() == ["j3", "j2", "j1"]
    assert asked(listViewType="ArchivedOnly") == ["j0"]
    assert asked(listViewType="All") == names


def test_clusters_are_made_told_and_deleted(arm, emulator, jobs):
    body = {
        "location": emulator.place.region,
        "properties": {
            "computeType": "AmlCompute",
            "properties": {
                "vmSize": "STANDARD_DS3_V2",
                "vmPriority": "LowPriority",
                "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2},
            },
        },
    }
    made = arm("PUT", "computes/few", body)
    assert made.status_code == 201
    assert "Azure-AsyncOperation" in made.headers
    found = arm("GET", "computes/few").json()
    assert found["properties"]["provisioningState"] == "Succeeded"
    assert found["properties"]["properties"]["scaleSettings"]["maxNodeCount"] == 2
    assert [each["name"] for each in arm("GET", "computes").json()["value"]] == ["cpu-cluster", "few"]
    assert jobs.put("wide", computeId=found["id"], resources={"instanceCount": 3}).status_code == 400
    assert arm("DELETE", "computes/few", underlyingResourceAction="Delete").status_code == 202
    assert arm("GET", "computes/few").status_code == 404


def test_sizes_of_machines_are_told(arm, emulator):
    place = emulator.place
    path = f"{place.subscription_id}/providers/Microsoft.MachineLearningServices/locations/{place.region}/vmSizes"
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    emulator.assignments.assign(emulator.credentials().principal.object_id, reader, place.subscription_id)
    sizes = {each["name"]: each for each in arm("GET", path).json()["value"]}
    assert sizes["Standard_NC24s_v3"]["gpus"] == 4
    assert sizes["Standard_DS3_v2"]["vCPUs"] == 4
