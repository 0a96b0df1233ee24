"""Endpoints and deployments over the wire of ARM, with servers that really run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.azure.identity.roles import guid
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.hosting import waiting
from mlinfra.emulator.settings import Settings
from mlinfra.host import processes

if TYPE_CHECKING:
    from conftest import Hosting

QUICK = {"initialDelay": "PT1S", "period": "PT1S", "failureThreshold": 2}


def servers(hosting: Hosting) -> list[int]:
    return processes.belonging(str(hosting.emulator.folder / "host"))


def test_a_deployment_is_made_gets_traffic_answers_and_goes(hosting: Hosting) -> None:
    endpoint = hosting.endpoint("shop")
    assert endpoint["properties"]["provisioningState"] == "Succeeded"
    assert endpoint["properties"]["scoringUri"] == f"{hosting.emulator.secure}/endpoints/shop/score"
    assert endpoint["properties"]["traffic"] == {}
    deployed = hosting.deploy("shop", "blue")
    assert deployed["properties"]["provisioningState"] == "Succeeded"
    assert deployed["sku"] == {"name": "Default", "capacity": 1}
    hosting.split("shop", blue=100)
    answer = hosting.ask("shop", {"x": 1})
    assert answer.status_code == 200
    assert answer.headers["azureml-model-deployment"] == "blue"
    assert answer.json()["name"] == "blue"

    hosting.split("shop")
    hosting.over(hosting.arm("DELETE", "onlineEndpoints/shop/deployments/blue"))
    assert hosting.arm("GET", "onlineEndpoints/shop/deployments/blue").status_code == 404
    hosting.over(hosting.arm("DELETE", "onlineEndpoints/shop"))
    assert hosting.arm("GET", "onlineEndpoints/shop").status_code == 404
    assert hosting.arm("DELETE", "onlineEndpoints/shop").status_code == 204
    hosting.until(lambda: not servers(hosting))


def test_what_a_request_leaves_out_is_told_with_the_documented_defaults(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    told = hosting.deploy("shop", "blue", properties={"requestSettings": None})["properties"]
    assert told["requestSettings"] == {
        "maxConcurrentRequestsPerInstance": 1,
        "requestTimeout": "PT5S",
        "maxQueueWait": "PT0.5S",
    }
    probe = {
        "initialDelay": "PT10S",
        "period": "PT10S",
        "timeout": "PT2S",
        "successThreshold": 1,
        "failureThreshold": 30,
    }
    assert told["livenessProbe"] == told["readinessProbe"] == probe
    assert told["scaleSettings"] == {"scaleType": "Default"}
    assert told["appInsightsEnabled"] is False


@pytest.mark.thorough
def test_a_container_gets_the_model_where_the_service_mounts_it_and_its_variables(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    model = hosting.model_version("credit", "weights", "package")
    hosting.deploy("shop", "blue", {"MINE_A": "a"}, properties={"model": model})
    hosting.deploy("shop", "green", properties={"model": model, "modelMountPath": "/var/elsewhere"})
    said = hosting.ask("shop", deployment="blue").json()
    assert said["files"] == {"package/model.txt": "weights"}
    assert said["variables"]["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models/credit/1"
    assert said["variables"]["MINE_A"] == "a"
    said = hosting.ask("shop", deployment="green").json()
    assert said["files"] == {"package/model.txt": "weights"}
    assert said["variables"]["AZUREML_MODEL_DIR"] == "/var/elsewhere/credit/1"
    told = hosting.emulator.endpoints.deployed(model)
    assert [name.rpartition("/")[2] for name in told] == ["blue", "green"]


def test_a_container_acts_as_its_endpoints_identity(hosting: Hosting) -> None:
    identity = hosting.endpoint("shop")["identity"]["principalId"]
    hosting.deploy("shop", "blue", {"TELL_TOKEN": "1"})
    token = hosting.ask("shop", deployment="blue").json()["token"]
    assert hosting.emulator.principals.issued(token).object_id == identity


def test_a_model_may_be_named_by_the_path_in_a_datastore_and_may_be_one_file(hosting: Hosting) -> None:
    workspace = hosting.emulator.workspaces.get(hosting.emulator.place.workspace_id)
    base = f"https://{workspace.account}.blob.core.windows.net/{workspace.container}"
    hosting.emulator.storage.write(f"{base}/one/model.pkl", b"pickled")
    uri = "azureml://datastores/workspaceblobstore/paths/one/model.pkl"
    body = {"properties": {"modelUri": uri, "modelType": "custom_model"}}
    model = hosting.done(hosting.arm("PUT", "models/one/versions/7", body))["id"]
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue", properties={"model": model})
    assert hosting.ask("shop", deployment="blue").json()["files"] == {"model.pkl": "pickled"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("env", "probes", "told"),
    [
        ({"HEALTH": "503"}, {"readinessProbe": QUICK}, "readiness probe"),
        ({"ALIVE": "500"}, {"livenessProbe": QUICK}, "liveness probe"),
        ({"LIFE": "0"}, {}, "crashed or terminated"),
    ],
)
def test_probes_that_do_not_pass_fail_the_deployment_which_stays_without_servers(
    hosting: Hosting, env: dict[str, str], probes: dict[str, Any], told: str
) -> None:
    hosting.endpoint("shop")
    asked = hosting.deploying("shop", "bad", env, properties=probes)
    error = hosting.over(asked, "Failed")["error"]
    assert error["code"] == "ResourceNotReady"
    assert told in error["message"]
    assert hosting.told("shop", "bad")["properties"]["provisioningState"] == "Failed"
    hosting.until(lambda: not hosting.emulator.endpoints.find("shop").hosting.look())
    refused = hosting.done(hosting.splitting("shop", {"bad": 100}), 400)
    assert "Failed provisioning state" in refused["error"]["message"]
    hosting.over(hosting.arm("DELETE", "onlineEndpoints/shop/deployments/bad"))


@pytest.mark.thorough
def test_the_default_probes_wait_some_minutes_before_they_give_up(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    asked = hosting.deploying("shop", "slow", {"HEALTH": "503"})
    hosting.until(lambda: servers(hosting))
    hosting.emulator.clock.advance(280)
    time.sleep(waiting.LEAST + 0.5)
    assert hosting.told("shop", "slow")["properties"]["provisioningState"] == "Creating"
    hosting.emulator.clock.advance(30)
    assert hosting.over(asked, "Failed")["error"]["code"] == "ResourceNotReady"


@pytest.mark.thorough
def test_an_endpoint_of_another_workspace_reads_and_collects_in_that_workspaces_store(hosting: Hosting) -> None:
    emulator = hosting.emulator
    other = emulator.place.id("Microsoft.MachineLearningServices", "workspaces", "other")
    deployer = str(hosting.environment.native["credentials"]["principal"])
    emulator.assignments.assign(deployer, guid("AzureML Data Scientist"), other)
    emulator.storage.create_account("otherstore")
    base = f"https://otherstore.blob.core.windows.net/{emulator.workspaces.create(other, 'otherstore').container}"
    emulator.storage.write(f"{base}/one/model.pkl", b"theirs")
    uri = "azureml://datastores/workspaceblobstore/paths/one/model.pkl"
    body = {"properties": {"modelUri": uri, "modelType": "custom_model"}}
    model = hosting.done(hosting.arm("PUT", f"{other}/models/one/versions/1", body))["id"]
    body = {"location": emulator.place.region, "properties": {"authMode": "Key"}}
    hosting.over(hosting.arm("PUT", f"{other}/onlineEndpoints/theirs", body))
    collector = {"collections": {"request": {"dataCollectionMode": "Enabled"}}}
    body = hosting.deployment(properties={"model": model, "dataCollector": collector})
    hosting.over(hosting.arm("PUT", f"{other}/onlineEndpoints/theirs/deployments/blue", body))
    shown = {"Authorization": f"Bearer {emulator.endpoints.find('theirs').keys.primary}"}
    address = f"{emulator.secure}/endpoints/theirs/score"
    answer = hosting.session().post(address, json={}, headers={**shown, "azureml-model-deployment": "blue"})
    assert answer.json()["files"] == {"model.pkl": "theirs"}
    emulator.endpoints.flush()
    assert emulator.storage.list(f"{base}/modelDataCollector/theirs/blue/request/")


@pytest.mark.thorough
def test_an_update_brings_new_servers_up_beside_the_old_and_fails_no_request(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.split("shop", blue=100)
    before = hosting.ask("shop").json()["process"]
    hosting.deploy("shop", "blue", {"NAME": "other"})
    after = hosting.ask("shop").json()
    assert after["process"] != before
    assert after["name"] == "other"
    assert hosting.told("shop")["properties"]["traffic"] == {"blue": 100}
    assert list(hosting.emulator.endpoints.find("shop").hosting.look()) == ["blue-2"]


@pytest.mark.thorough
def test_a_deployment_whose_update_fails_goes_on_serving(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.split("shop", blue=100)
    hosting.over(hosting.deploying("shop", "blue", {"LIFE": "0"}), "Failed")
    assert hosting.told("shop", "blue")["properties"]["provisioningState"] == "Failed"
    assert hosting.ask("shop").json()["name"] == "blue"


@pytest.mark.thorough
def test_instances_that_do_not_come_up_leave_as_many_as_before(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue", {"MOST": "1"}, properties={"readinessProbe": QUICK})
    before = len(servers(hosting))
    patched = hosting.arm("PATCH", "onlineEndpoints/shop/deployments/blue", {"sku": {"capacity": 2}})
    assert hosting.over(patched, "Failed")["error"]["code"] == "ResourceNotReady"
    told = hosting.told("shop", "blue")
    assert (told["properties"]["provisioningState"], told["sku"]["capacity"]) == ("Failed", 1)
    hosting.until(lambda: len(servers(hosting)) == before)
    assert hosting.ask("shop", deployment="blue").status_code == 200


@pytest.mark.thorough
def test_capacity_is_changed_by_patch_and_by_put_without_other_servers(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    before = hosting.ask("shop", deployment="blue").json()["process"]
    change = {"sku": {"capacity": 2}, "tags": {"a": "b"}}
    patched = hosting.arm("PATCH", "onlineEndpoints/shop/deployments/blue", change)
    assert patched.status_code == 202
    hosting.over(patched)
    told = hosting.told("shop", "blue")
    assert told["sku"]["capacity"] == 2
    assert told["tags"] == {"a": "b"}
    assert hosting.emulator.endpoints.find("shop").hosting.look()["blue-1"].ready == 2
    hosting.arm("PATCH", "onlineEndpoints/shop/deployments/blue", {"sku": {"capacity": 1}})
    assert hosting.ask("shop", deployment="blue").json()["process"] == before
    hosting.deploy("shop", "blue")
    assert hosting.told("shop", "blue")["sku"]["capacity"] == 1


def test_a_deployment_with_traffic_or_mirrored_traffic_cannot_be_deleted(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.deploy("shop", "green")
    hosting.over(hosting.splitting("shop", {"blue": 100}, mirrorTraffic={"green": 10}))
    for name in ("blue", "green"):
        refused = hosting.arm("DELETE", f"onlineEndpoints/shop/deployments/{name}")
        assert "traffic" in hosting.done(refused, 400)["error"]["message"]
    hosting.over(hosting.splitting("shop", {}))
    hosting.over(hosting.arm("DELETE", "onlineEndpoints/shop/deployments/blue"))


def test_an_endpoint_takes_its_deployments_along(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.split("shop", blue=100)
    hosting.over(hosting.arm("DELETE", "onlineEndpoints/shop"))
    hosting.endpoint("shop")
    assert hosting.done(hosting.arm("GET", "onlineEndpoints/shop/deployments"))["value"] == []
    assert hosting.emulator.endpoints.leftovers() == [hosting.told("shop")["id"]]


def test_traffic_that_is_left_out_of_a_put_is_gone(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.split("shop", blue=100)
    hosting.over(hosting.creating("shop", tags={"a": "b"}))
    assert hosting.told("shop")["properties"]["traffic"] == {}
    hosting.split("shop", blue=100)
    hosting.over(hosting.arm("PATCH", "onlineEndpoints/shop", {"tags": {"c": "d"}}))
    told = hosting.told("shop")
    assert told["properties"]["traffic"] == {"blue": 100}
    assert told["tags"] == {"a": "b", "c": "d"}


def test_a_split_that_was_accepted_is_told_and_followed_only_later(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    hosting.deploy("shop", "green")
    hosting.split("shop", blue=100)
    hosting.emulator.endpoints.traffic_lag = 30.0
    hosting.split("shop", green=100)
    assert hosting.told("shop")["properties"]["traffic"] == {"blue": 100}
    assert hosting.ask("shop").json()["name"] == "blue"
    refused = hosting.arm("DELETE", "onlineEndpoints/shop/deployments/blue")
    assert "100% of the traffic" in hosting.done(refused, 400)["error"]["message"]
    hosting.emulator.clock.advance(31)
    assert hosting.told("shop")["properties"]["traffic"] == {"green": 100}
    assert hosting.ask("shop").json()["name"] == "green"


class TestOneOperationAtATime:
    """While something is under way on an endpoint or a deployment, everything else is refused."""

    @pytest.fixture
    @staticmethod
    def emulator_settings() -> Settings:
        return Settings(delays_scale=1.0, quotas=False)

    def test_an_endpoint_that_is_created_takes_nothing_yet(self, hosting: Hosting) -> None:
        first = hosting.creating("shop")
        assert first.status_code == 201
        assert first.json()["properties"]["provisioningState"] == "Creating"
        told = hosting.done(hosting.deploying("shop", "blue"), 409)["error"]["message"]
        why = "because endpoint shop is in Creating provisioning state."
        assert told == f"Cannot create a deployment in endpoint shop {why}"
        for answer in (hosting.creating("shop"), hosting.arm("DELETE", "onlineEndpoints/shop")):
            assert "Creating provisioning state" in hosting.done(answer, 409)["error"]["message"]
        hosting.overdue(first)

    def test_a_deployment_that_is_created_holds_its_endpoint(self, hosting: Hosting) -> None:
        hosting.overdue(hosting.creating("shop"))
        first = hosting.deploying("shop", "blue")
        assert first.json()["properties"]["provisioningState"] == "Creating"
        others = (
            hosting.deploying("shop", "blue"),
            hosting.deploying("shop", "green"),
            hosting.splitting("shop", {}),
            hosting.arm("DELETE", "onlineEndpoints/shop/deployments/blue"),
            hosting.arm("PATCH", "onlineEndpoints/shop/deployments/blue", {"sku": {"capacity": 2}}),
            hosting.arm("DELETE", "onlineEndpoints/shop"),
        )
        for answer in others:
            error = hosting.done(answer, 409)["error"]
            assert "deployment blue is in Creating provisioning state" in error["message"]
        hosting.overdue(first)
        assert hosting.told("shop")["properties"]["provisioningState"] == "Succeeded"


def test_no_machines_fail_the_deployment(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    rule = Fault(operation="OnlineDeployments_CreateOrUpdate:Provisioning", do="fail", code="capacity")
    hosting.emulator.faults.script([rule])
    assert hosting.over(hosting.deploying("shop", "blue"), "Failed")["error"]["code"] == "OutOfCapacity"
    hosting.deploy("shop", "blue")


def test_an_operation_that_is_canceled_leaves_a_canceled_deployment(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    rule = Fault(operation="OnlineDeployments_CreateOrUpdate:Provisioning", do="fail", code="canceled")
    hosting.emulator.faults.script([rule])
    assert hosting.over(hosting.deploying("shop", "blue"), "Canceled")["error"]["code"] == "OperationCanceled"
    assert hosting.told("shop", "blue")["properties"]["provisioningState"] == "Canceled"
    hosting.deploy("shop", "blue")


def test_the_last_lines_of_a_container_are_told(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    model = hosting.model_version("credit")
    hosting.deploy("shop", "blue", properties={"model": model})
    path = "onlineEndpoints/shop/deployments/blue/getLogs"

    def content(**asked: Any) -> str:
        return str(hosting.done(hosting.arm("POST", path, asked))["content"])

    hosting.until(lambda: content() == "a server of blue begins\n")
    assert "credit" in content(containerType="StorageInitializer")
    assert content(tail=1).count("\n") == 1
    hosting.done(hosting.arm("POST", path, {"tail": 0}), 400)


def test_skus_tell_the_capacity_that_a_deployment_may_have(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    hosting.deploy("shop", "blue")
    (told,) = hosting.done(hosting.arm("GET", "onlineEndpoints/shop/deployments/blue/skus"))["value"]
    assert told["sku"]["name"] == "Default"
    assert (told["capacity"]["minimum"], told["capacity"]["maximum"]) == (1, 50)


def test_lists_are_filtered_ordered_and_paged(hosting: Hosting) -> None:
    for name, tag in (("one", "a"), ("two", "b"), ("three", "a")):
        hosting.endpoint(name, tags={"kind": tag})

    def names(**query: str) -> list[str]:
        return [each["name"] for each in hosting.done(hosting.arm("GET", "onlineEndpoints", **query))["value"]]

    assert names() == ["one", "two", "three"]
    assert names(tags="kind=a") == ["one", "three"]
    assert names(name="TWO") == ["two"]
    assert names(orderBy="CreatedAtDesc") == ["three", "two", "one"]
    assert names(computeType="Kubernetes") == []
    page = hosting.done(hosting.arm("GET", "onlineEndpoints", count="2"))
    assert [each["name"] for each in page["value"]] == ["one", "two"]
    assert [each["name"] for each in hosting.done(hosting.arm("GET", page["nextLink"]))["value"]] == ["three"]


def test_an_etag_that_is_not_the_newest_is_refused(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    etag = hosting.arm("GET", "onlineEndpoints/shop").headers["ETag"]
    body = {"tags": {"a": "b"}}
    hosting.over(hosting.arm("PATCH", "onlineEndpoints/shop", body, headers={"If-Match": etag}))
    hosting.done(hosting.arm("PATCH", "onlineEndpoints/shop", body, headers={"If-Match": etag}), 412)
    newest = hosting.arm("GET", "onlineEndpoints/shop").headers["ETag"]
    hosting.over(hosting.arm("PATCH", "onlineEndpoints/shop", body, headers={"If-Match": newest}))


def test_each_call_needs_its_permission(hosting: Hosting) -> None:
    hosting.endpoint("shop")
    deployer = hosting.emulator.credentials().principal.object_id
    for action, method, path in (
        ("onlineEndpoints/write", "PUT", "onlineEndpoints/other"),
        ("onlineEndpoints/delete", "DELETE", "onlineEndpoints/shop"),
        ("onlineEndpoints/listKeys/action", "POST", "onlineEndpoints/shop/listKeys"),
        ("onlineEndpoints/deployments/write", "PUT", "onlineEndpoints/shop/deployments/blue"),
    ):
        permission = f"Microsoft.MachineLearningServices/workspaces/{action}"
        with hosting.emulator.policy.without(deployer, permission):
            body = {"location": "westeurope", "properties": {"authMode": "Key"}}
            answer = hosting.arm(method, path, body if method != "DELETE" else None)
            assert permission in hosting.done(answer, 403)["error"]["message"]
