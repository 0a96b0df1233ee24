"""What every request of ARM meets: who calls, in which version, about what; headers, etags, allowances, pages."""

from __future__ import annotations

import pytest
import requests

from mlinfra.emulator.calls import Call
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings

OLD = "2023-04-01"
MODEL = {"properties": {"modelUri": "https://acct.blob.core.windows.net/artefacts/m", "modelType": "custom_model"}}


def error(answer):
    return answer.status_code, answer.json()["error"]["code"]


def test_a_call_without_a_token_is_told_where_to_get_one(emulator, environment, session):
    visitor = session()
    del visitor.headers["Authorization"]
    answer = visitor.get(f"{emulator.secure}{emulator.place.workspace_id}", params={"api-version": OLD})
    assert error(answer) == (401, "AuthenticationFailed")
    assert f"https://login.windows.net/{emulator.place.tenant}" in answer.headers["WWW-Authenticate"]


def test_a_token_that_nobody_issued_is_refused(emulator, environment, session):
    visitor = session()
    visitor.headers["Authorization"] = "Bearer a.b.c"
    answer = visitor.get(f"{emulator.secure}{emulator.place.workspace_id}", params={"api-version": OLD})
    assert error(answer) == (401, "InvalidAuthenticationToken")


def test_a_token_for_another_service_is_refused(emulator, environment, session):
    visitor = session()
    deployer = emulator.credentials().principal.object_id
    wrong = emulator.principals.token(deployer, "https://storage.azure.com")
    visitor.headers["Authorization"] = f"Bearer {wrong}"
    answer = visitor.get(f"{emulator.secure}{emulator.place.workspace_id}", params={"api-version": OLD})
    assert error(answer) == (401, "InvalidAuthenticationTokenAudience")


def test_a_token_ends(emulator, environment, session):
    visitor = session()
    deployer = emulator.credentials().principal.object_id
    visitor.headers["Authorization"] = f"Bearer {emulator.principals.token(deployer, 'https://management.azure.com')}"
    url = f"{emulator.secure}{emulator.place.workspace_id}?api-version={OLD}"
    assert visitor.get(url).status_code == 200
    emulator.clock.advance(25 * 3600)
    assert error(visitor.get(url)) == (401, "ExpiredAuthenticationToken")


def test_a_version_must_be_named_and_known(emulator, environment, arm, session):
    url = f"{emulator.secure}{emulator.place.workspace_id}"
    assert error(session().get(url)) == (400, "MissingApiVersionParameter")
    answer = arm("GET", emulator.place.workspace_id, version="2019-01-01")
    assert error(answer) == (400, "NoRegisteredProviderFound")
    assert "2025-12-01" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/g", "SubscriptionNotFound"),
        ("{group}x/providers/Microsoft.MachineLearningServices/workspaces/w", "ResourceGroupNotFound"),
        ("{group}/providers/Microsoft.MachineLearningServices/workspaces/w", "ResourceNotFound"),
        ("{group}/providers/Microsoft.MachineLearningServices/workspaces/w/models", "ResourceNotFound"),
    ],
)
def test_what_is_not_there_is_told_as_arm_does(emulator, environment, arm, path, code):
    owner = emulator.credentials().principal.object_id
    emulator.assignments.assign(owner, "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", emulator.place.subscription_id)
    assert error(arm("GET", path.format(group=emulator.place.group_id), version=OLD)) == (404, code)


def test_what_is_not_emulated_says_so(arm, environment):
    assert error(arm("POST", "diagnose", {})) == (501, "NotImplemented")


def test_the_case_of_a_resource_id_does_not_count(emulator, environment, arm):
    assert arm("PUT", "models/mine/versions/1", MODEL).status_code == 201
    path = emulator.place.child("MODELS", "mine", "VERSIONS", "1").replace("resourceGroups", "RESOURCEGROUPS")
    answer = arm("GET", path.replace(emulator.place.workspace, emulator.place.workspace.upper()))
    assert answer.status_code == 200
    assert answer.json()["id"] == emulator.place.child("models", "mine", "versions", "1")


def test_answers_carry_the_ids_of_their_requests(arm, environment):
    told = {"x-ms-client-request-id": "mine", "x-ms-return-client-request-id": "true"}
    answer = arm("GET", "models", headers=told)
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert answer.headers["x-ms-request-id"]


def test_a_body_that_is_no_json_is_refused(emulator, environment, session):
    url = f"{emulator.secure}{emulator.place.child('models', 'm')}?api-version={OLD}"
    assert error(session().put(url, data=b"{")) == (400, "InvalidRequestContent")
    assert error(session().put(url, data=b"[1]")) == (400, "InvalidRequestContent")


def test_a_write_expects_what_was_read(arm, environment):
    made = arm("PUT", "models/m/versions/1", MODEL)
    before = made.headers["ETag"]
    assert arm("GET", "models/m/versions/1").headers["ETag"] == before
    tagged = {"properties": {**MODEL["properties"], "tags": {"a": "b"}}}
    changed = arm("PUT", "models/m/versions/1", tagged, headers={"If-Match": before})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != before
    assert error(arm("PUT", "models/m/versions/1", MODEL, headers={"If-Match": before})) == (412, "PreconditionFailed")
    assert arm("GET", "models/m/versions/1").json()["properties"]["tags"] == {"a": "b"}
    there = arm("PUT", "models/m/versions/1", MODEL, headers={"If-None-Match": "*"})
    assert error(there) == (412, "PreconditionFailed")
    assert arm("PUT", "models/m/versions/2", MODEL, headers={"If-None-Match": "*"}).status_code == 201


def test_lists_go_on_where_a_page_ends(arm, environment):
    for number in range(7):
        arm("PUT", f"models/m/versions/{number}", MODEL)
    seen, answer = [], arm("GET", "models/m/versions", __top="3")
    while True:
        found = answer.json()
        seen.append([each["name"] for each in found["value"]])
        if "nextLink" not in found:
            break
        answer = arm("GET", found["nextLink"])
    assert seen == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    assert error(arm("GET", "models/m/versions", __skip="none")) == (400, "UserError")
    assert error(arm("GET", "models/m/versions", __top="0")) == (400, "UserError")
    assert len(arm("GET", "datastores", count="1").json()["value"]) == 1


def test_a_page_does_not_shift_when_something_before_it_goes(arm, environment):
    for number in range(4):
        arm("PUT", f"models/m/versions/{number}", MODEL)
    first = arm("GET", "models/m/versions", __top="2").json()
    arm("DELETE", "models/m/versions/3")
    assert [each["name"] for each in arm("GET", first["nextLink"]).json()["value"]] == ["1", "0"]


def script(emulator, **rule):
    emulator.faults.script([Fault(operation="ModelVersions_Get", **rule)])


def test_scripted_faults_are_told_in_arms_words(emulator, environment, arm):
    put = arm("PUT", "models/m/versions/1", MODEL)
    script(emulator, do="fail", code="throttled", seconds=7)
    throttled = arm("GET", "models/m/versions/1")
    assert (error(throttled), throttled.headers["Retry-After"]) == ((429, "SubscriptionRequestsThrottled"), "7")
    script(emulator, do="fail", code="unavailable")
    assert error(arm("GET", "models/m/versions/1")) == (503, "ServiceUnavailable")
    script(emulator, do="fail", code="internal")
    assert error(arm("GET", "models/m/versions/1")) == (500, "InternalServerError")
    script(emulator, do="lie", when="after", reply={"properties": {"stage": "made up"}})
    told = arm("GET", "models/m/versions/1").json()
    assert told["id"] == put.json()["id"]
    assert told["properties"]["stage"] == "made up"
    script(emulator, do="cut")
    with pytest.raises(requests.ConnectionError):
        arm("GET", "models/m/versions/1")
    assert arm("GET", "models/m/versions/1").json() == put.json()


class TestAllowances:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=0.0)

    @pytest.mark.usefixtures("environment")
    def test_what_is_left_is_told_and_runs_out_for_one_caller_alone(self, emulator, arm):
        first = arm("DELETE", "models/m")
        left = int(first.headers["x-ms-ratelimit-remaining-subscription-deletes"])
        assert left <= 199
        deployer = emulator.credentials().principal.object_id
        while emulator.quotas.left(f"ARM for {deployer}", "delete") > 1:  # as so many calls would leave it
            emulator.quotas.take(Call(f"ARM for {deployer}", "delete"))
        answers = [arm("DELETE", "models/m") for _ in range(5)]
        answer = next(each for each in answers if each.status_code == 429)
        assert error(answer) == (429, "SubscriptionRequestsThrottled")
        assert int(answer.headers["Retry-After"]) >= 1
        assert arm("GET", "models").status_code == 200
        assert arm("GET", "models", principal="approver").status_code == 200
        emulator.clock.advance(int(answer.headers["Retry-After"]))
        assert arm("DELETE", "models/m").status_code == 204


class TestLag:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=0.0, quotas=False, list_lag=30.0)

    @pytest.mark.usefixtures("environment")
    def test_lists_show_later_what_is_written_at_once(self, emulator, arm):
        arm("PUT", "models/m/versions/1", MODEL)
        assert arm("GET", "models/m/versions/1").status_code == 200
        assert arm("GET", "models/m/versions").json()["value"] == []
        emulator.clock.advance(31)
        assert [each["name"] for each in arm("GET", "models/m/versions").json()["value"]] == ["1"]
