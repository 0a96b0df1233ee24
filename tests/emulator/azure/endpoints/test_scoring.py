"""The scoring address over TLS: who may ask, who answers, and what becomes of what a container does."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests
    from conftest import Hosting

SETTINGS = {"requestTimeout": "PT1S", "maxConcurrentRequestsPerInstance": 2}


def serving(hosting: Hosting, env: dict[str, str] | None = None, **properties: Any) -> None:
    """An endpoint with one deployment that gets everything."""
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue", env, properties=properties)
    hosting.split("shop", blue=100)


def post(hosting: Hosting, authorization: str = "", path: str = "/score") -> requests.Response:
    session = hosting.session()
    session.headers.pop("Authorization")
    headers = {"Authorization": authorization} if authorization else {}
    return session.post(f"{hosting.emulator.secure}/endpoints/shop{path}", json={}, headers=headers)


def test_body_and_headers_go_both_ways(hosting: Hosting) -> None:
    serving(hosting)
    answer = hosting.ask("shop", {"x": [1, 2]}, **{"x-request-id": "7", "x-mine": "yes"})
    said = answer.json()
    assert json.loads(said["body"]) == {"x": [1, 2]}
    assert said["path"] == "/score"
    assert said["headers"]["x-mine"] == "yes"
    assert said["headers"]["x-request-id"] == "7"
    assert "authorization" not in said["headers"]
    assert answer.headers["x-mine"] == "from the model"
    assert answer.headers["x-request-id"] == "7"
    assert answer.headers["ms-azureml-model-time"].isdigit()


def test_keys_are_told_replaced_and_the_old_one_is_worth_nothing(hosting: Hosting) -> None:
    serving(hosting)
    keys = hosting.done(hosting.arm("POST", "onlineEndpoints/shop/listKeys"))
    for key in keys.values():
        assert post(hosting, f"Bearer {key}").status_code == 200
    for shown in ("", "Bearer ", f"Basic {keys['primaryKey']}", "Bearer nobody's"):
        assert post(hosting, shown).status_code == 401
    hosting.over(hosting.arm("POST", "onlineEndpoints/shop/regenerateKeys", {"keyType": "Primary"}))
    assert post(hosting, f"Bearer {keys['primaryKey']}").status_code == 401
    assert post(hosting, f"Bearer {keys['secondaryKey']}").status_code == 200
    own = {"keyType": "Secondary", "keyValue": "k" * 32}
    hosting.over(hosting.arm("POST", "onlineEndpoints/shop/regenerateKeys", own))
    assert post(hosting, "Bearer " + "k" * 32).status_code == 200
    assert "AMLToken" in hosting.done(hosting.arm("POST", "onlineEndpoints/shop/token"), 400)["error"]["message"]


def test_keys_may_be_given_when_an_endpoint_is_made_and_are_never_told_with_it(hosting: Hosting) -> None:
    told = hosting.endpoint("shop", properties={"keys": {"primaryKey": "p" * 32, "secondaryKey": "s" * 32}})
    assert told["properties"]["keys"] is None
    assert hosting.key("shop") == "p" * 32


def test_tokens_of_the_workspace_end_some_time(hosting: Hosting) -> None:
    hosting.endpoint("shop", "AMLToken")
    hosting.deploy("shop", "blue")
    hosting.split("shop", blue=100)
    token = hosting.done(hosting.arm("POST", "onlineEndpoints/shop/token"))
    assert post(hosting, f"Bearer {token['accessToken']}").status_code == 200
    assert token["refreshAfterTimeUtc"] < token["expiryTimeUtc"]
    hosting.emulator.clock.advance(token["expiryTimeUtc"] - hosting.emulator.clock.now().timestamp() + 1)
    assert post(hosting, f"Bearer {token['accessToken']}").status_code == 401
    hosting.done(hosting.arm("POST", "onlineEndpoints/shop/listKeys"), 400)


def test_a_token_of_entra_needs_its_audience_and_the_permission_to_score(hosting: Hosting) -> None:
    hosting.endpoint("shop", "AADToken")
    hosting.deploy("shop", "blue")
    hosting.split("shop", blue=100)
    deployer = hosting.emulator.credentials().principal.object_id
    good = hosting.emulator.principals.token(deployer, "https://ml.azure.com")
    other = hosting.emulator.principals.token(deployer, "https://storage.azure.com")
    assert post(hosting, f"Bearer {good}").status_code == 200
    assert post(hosting, f"Bearer {other}").status_code == 401
    with hosting.emulator.policy.without(deployer, "*/score/action"):
        refused = post(hosting, f"Bearer {good}")
    assert refused.status_code == 403
    assert "onlineEndpoints/score/action" in refused.json()["error"]["message"]


@pytest.mark.thorough
def test_the_split_is_exact_and_a_header_picks_any_deployment(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    for name in ("blue", "green", "grey"):
        hosting.deploy("shop", name)
    hosting.split("shop", blue=90, green=10)
    counts = Counter(hosting.ask("shop").headers["azureml-model-deployment"] for _ in range(20))
    assert counts == {"blue": 18, "green": 2}
    answer = hosting.ask("shop", deployment="grey")
    assert (answer.status_code, answer.json()["name"]) == (200, "grey")
    assert hosting.ask("shop", deployment="nobody").status_code == 404


def test_where_there_is_no_deployment_with_traffic_or_no_such_path_nobody_answers(hosting: Hosting) -> None:
    serving(hosting)
    key = f"Bearer {hosting.key('shop')}"
    assert post(hosting, key, "/elsewhere").status_code == 404
    assert post(hosting, key, "").status_code == 200
    hosting.split("shop")
    assert post(hosting, key).status_code == 404
    assert hosting.session().get(f"{hosting.emulator.secure}/endpoints/shop/score").status_code == 405
    assert hosting.session().post(f"{hosting.emulator.secure}/endpoints/nobody/score").status_code == 404


def test_what_a_container_refuses_is_a_424_with_its_own_status_and_body(hosting: Hosting) -> None:
    serving(hosting, {"STATUS": "422", "ANSWER": '{"error": "no such column"}'})
    answer = hosting.ask("shop")
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "422"
    assert answer.headers["ms-azureml-model-error-reason"] == "model_error"
    assert answer.headers["azureml-model-deployment"] == "blue"
    assert answer.json() == {"error": "no such column"}


def test_a_deployment_without_a_ready_instance_answers_424(hosting: Hosting) -> None:
    serving(hosting)
    hosting.emulator.endpoints.find("shop").hosting.kill()
    answer = hosting.ask("shop")
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-reason"] == "model_not_ready"


@pytest.mark.thorough
def test_a_model_that_takes_too_long_is_a_408(hosting: Hosting) -> None:
    serving(hosting, {"SECONDS": "3"}, requestSettings=SETTINGS)
    answer = hosting.ask("shop")
    assert (answer.status_code, answer.text) == (408, "upstream request timeout")


@pytest.mark.thorough
def test_over_twice_the_concurrency_requests_are_refused_and_over_it_they_wait(hosting: Hosting) -> None:
    settings = {"requestTimeout": "PT30S", "maxConcurrentRequestsPerInstance": 1}
    serving(hosting, {"SECONDS": "0.5"}, requestSettings=settings)
    hosting.ask("shop")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: hosting.ask("shop"), range(4)))
    assert Counter(each.status_code for each in answers) == {200: 2, 429: 2}
    refused = next(each for each in answers if each.status_code == 429)
    assert refused.headers["ms-azureml-model-error-reason"] == "too_many_pending_request"
    assert refused.content == b""


@pytest.mark.thorough
def test_the_time_that_a_request_waits_for_an_instance_counts(hosting: Hosting) -> None:
    settings = {"requestTimeout": "PT1S", "maxConcurrentRequestsPerInstance": 1}
    serving(hosting, {"SECONDS": "0.7"}, requestSettings=settings)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: hosting.ask("shop"), range(2)))
    assert sorted(each.status_code for each in answers) == [200, 408]


@pytest.mark.thorough
def test_mirrored_requests_reach_the_other_deployment_and_their_answers_nobody(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.deploy("shop", "green", {"STATUS": "500", "ANSWER": "broken"})
    hosting.over(hosting.splitting("shop", {"blue": 100}, mirrorTraffic={"green": 50}))
    assert hosting.told("shop")["properties"]["mirrorTraffic"] == {"green": 50}
    seen: list[Any] = []
    meter = hosting.emulator.endpoints.find("shop").meter
    note = meter.note
    meter.note = lambda noted: (seen.append((noted.deployment, noted.status)), note(noted))
    assert {hosting.ask("shop").status_code for _ in range(10)} == {200}
    hosting.until(lambda: len(seen) == 15)
    assert Counter(seen) == {("blue", 200): 10, ("green", 424): 5}
    for _ in range(4):
        hosting.ask("shop", deployment="blue")
    assert Counter(seen)["green", 424] == 5


@pytest.fixture
def collected(hosting: Hosting) -> Callable[[str], list[dict[str, Any]]]:
    """The records of a collection."""

    def read(folder: str) -> list[dict[str, Any]]:
        hosting.emulator.endpoints.flush()
        account = folder.split("/")[2].partition(".")[0]
        container = folder.split("/")[3]
        base = f"https://{account}.blob.core.windows.net/{container}"
        blobs = [each for each in hosting.emulator.storage.list(folder) if each.name.endswith(".jsonl")]
        lines = [hosting.emulator.storage.read(f"{base}/{each.name}").splitlines() for each in blobs]
        return sorted((json.loads(line) for each in lines for line in each), key=lambda record: str(record["data"]))

    return read


def test_the_data_collector_writes_payloads_to_the_workspaces_store(
    hosting: Hosting, collected: Callable[[str], list[dict[str, Any]]]
) -> None:
    collections = {
        "request": {"dataCollectionMode": "Enabled"},
        "response": {"dataCollectionMode": "Enabled", "samplingRate": 0.5},
        "model_inputs": {"dataCollectionMode": "Enabled"},
    }
    config = {"collections": collections, "requestLogging": {"captureHeaders": ["x-mine"]}}
    serving(hosting, dataCollector=config)
    for number in range(4):
        hosting.ask("shop", {"x": number}, **{"x-mine": str(number)})
    workspace = hosting.emulator.workspaces.get(hosting.emulator.place.workspace_id)
    root = f"https://{workspace.account}.blob.core.windows.net/{workspace.container}/modelDataCollector/shop/blue"
    requests_, responses = collected(f"{root}/request/"), collected(f"{root}/response/")
    assert [each["data"] for each in requests_] == [{"x": number} for number in range(4)]
    assert [each["headers"] for each in requests_] == [{"x-mine": str(number)} for number in range(4)]
    assert len(responses) == 2
    first = requests_[0]
    assert first["specversion"] == "1.0"
    assert first["type"] == "azureml.inference.request"
    assert first["source"] == hosting.told("shop", "blue")["id"]
    assert (first["path"], first["method"], first["datacontenttype"]) == ("/score", "POST", "application/json")
    assert responses[0]["type"] == "azureml.inference.response"
    assert responses[0]["correlationid"] in {each["correlationid"] for each in requests_}
    when = hosting.emulator.clock.now()
    for blob in hosting.emulator.storage.list(f"{root}/request/"):
        assert f"/blue/request/{when:%Y/%m/%d}/" in blob.name


@pytest.mark.thorough
def test_a_collection_goes_where_its_data_asset_is_if_the_endpoints_identity_may_write_there(
    hosting: Hosting, collected: Callable[[str], list[dict[str, Any]]]
) -> None:
    folder = f"{hosting.environment.stores['captures'].uri}/mine"
    body = {"properties": {"dataUri": folder, "dataType": "uri_folder"}}
    asset = hosting.done(hosting.arm("PUT", "data/mine/versions/1", body))["id"]
    config = {"collections": {"request": {"dataCollectionMode": "Enabled", "dataId": asset}}, "rollingRate": "Day"}
    server = hosting.environment.identities["server"]
    hosting.endpoint("shop", identity={"type": "UserAssigned", "userAssignedIdentities": {server: {}}})
    hosting.deploy("shop", "blue", properties={"dataCollector": config})
    hosting.ask("shop", {"x": 1}, deployment="blue")
    (record,) = collected(f"{folder}/")
    assert record["data"] == {"x": 1}

    hosting.endpoint("other")
    hosting.deploy("other", "blue", properties={"dataCollector": config})
    assert hosting.ask("other", {"x": 2}, deployment="blue").status_code == 200
    assert len(collected(f"{folder}/")) == 1
