"""Endpoints and deployed models over gRPC, by the vendor's own GAPIC clients, with servers that really run."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions

from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings
from mlinfra.host import processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Hosting
    from google.cloud.storage import Client

    from mlinfra.emulator.gcp import GcpEmulator

MIXED = "$(MINE_A) of $(AIP_MODE) $$(MINE_A) $(NO)"
_WAIT = {"timeout": 60.0}


def undeploy(hosting: Hosting, endpoint: Any, own: str, split: dict[str, int] | None = None) -> None:
    asked = {"endpoint": endpoint.name, "deployed_model_id": own, "traffic_split": split or {}}
    hosting.endpoints.undeploy_model(request=asked).result(**_WAIT)


def update(hosting: Hosting, mask: str, **members: Any) -> Any:
    return hosting.endpoints.update_endpoint(endpoint=members, update_mask={"paths": mask.split()})


def servers(hosting: Hosting) -> list[int]:
    return processes.belonging(str(hosting.emulator.folder / "host"))


def test_a_model_is_deployed_answers_and_is_undeployed(hosting: Hosting) -> None:
    endpoint = hosting.endpoint("shop")
    deployed = hosting.deploy(endpoint, hosting.upload("good"), own="7")
    told = hosting.told(endpoint)
    assert endpoint.name == hosting.emulator.place.name("endpoints", "shop")
    assert [each.id for each in told.deployed_models] == ["7"]
    assert told.traffic_split == {"7": 100}
    assert deployed.model == hosting.emulator.place.name("models", "good")
    assert deployed.model_version_id == "1"
    assert deployed.display_name == "good"
    assert deployed.status.available_replica_count == 1
    assert hosting.ask(endpoint, {"x": 1})["deployed"] == "7"

    undeploy(hosting, endpoint, "7")
    told = hosting.told(endpoint)
    assert not told.deployed_models
    assert not told.traffic_split
    hosting.endpoints.delete_endpoint(name=endpoint.name).result(**_WAIT)
    hosting.until(lambda: not servers(hosting))
    with pytest.raises(exceptions.NotFound):
        hosting.told(endpoint)


def test_a_container_gets_the_variables_routes_and_artifacts_that_the_service_gives(
    hosting: Hosting, storage_client: Callable[..., Client], bucket: str
) -> None:
    blob = storage_client().bucket(bucket).blob("artefacts/credit/model.txt")
    blob.upload_from_string("weights")
    model = hosting.upload(
        "credit",
        f"gs://{bucket}/artefacts/credit",
        env=[
            {"name": "MINE_A", "value": "a"},
            {"name": "MINE_B", "value": MIXED},
        ],
        args=["--serve", "$(AIP_DEPLOYED_MODEL_ID)"],
        predict_route="",
        health_route="",
    )
    endpoint = hosting.endpoint("shop")
    hosting.deploy(endpoint, model, own="12")
    blob.upload_from_string("other weights")
    said = hosting.ask(endpoint, 1)
    variables = said["variables"]
    port = variables.pop("AIP_HTTP_PORT")
    storage = variables.pop("AIP_STORAGE_URI")
    assert port.isdigit()
    assert storage.startswith("gs://")
    assert bucket not in storage
    assert variables == {
        "AIP_DEPLOYED_MODEL_ID": "12",
        "AIP_ENDPOINT_ID": "shop",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/shop/deployedModels/12",
        "AIP_MACHINE_TYPE": "n1-standard-2",
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_MODEL_NAME": "shop",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/shop/deployedModels/12:predict",
        "AIP_PROJECT_NUMBER": hosting.emulator.project_number,
        "AIP_VERSION_NAME": "12",
        "MINE_A": "a",
        "MINE_B": "a of PREDICTION $(MINE_A) $(NO)",
    }
    assert said["path"] == variables["AIP_PREDICT_ROUTE"]
    assert said["arguments"] == ["--serve", "12"]
    assert said["artifacts"] == {"model.txt": "weights"}


def test_a_service_account_of_the_users_own_reads_the_artifacts_too(
    hosting: Hosting, storage_client: Callable[..., Client], bucket: str
) -> None:
    storage_client().bucket(bucket).blob("artefacts/own/model.txt").upload_from_string("weights")
    endpoint = hosting.endpoint()
    account = hosting.environment.identities["server"]
    hosting.deploy(endpoint, hosting.upload("own", f"gs://{bucket}/artefacts/own"), service_account=account)
    assert hosting.ask(endpoint, 1)["artifacts"] == {"model.txt": "weights"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"HEALTH": "503"}, "never became ready"),
        ({"LIFE": "0"}, "exited unexpectedly"),
    ],
)
def test_a_container_that_does_not_become_healthy_fails_the_operation_and_leaves_nothing(
    hosting: Hosting, env: dict[str, str], told: str
) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    variables = [{"name": name, "value": value} for name, value in env.items()]
    bad = hosting.upload("bad", env=variables)
    operation = hosting.deploying(endpoint, bad, {"1": 50, "0": 50}, "2")
    with pytest.raises(exceptions.FailedPrecondition, match=told):
        hosting.overdue(operation) if "HEALTH" in env else operation.result(**_WAIT)
    after = hosting.told(endpoint)
    assert [each.id for each in after.deployed_models] == ["1"]
    assert after.traffic_split == {"1": 100}
    assert len(hosting.emulator.endpoints.get(endpoint.name).hosting.look()) == 1
    logged = hosting.emulator.logs.list_entries(
        {"resourceNames": [f"projects/{hosting.emulator.project}"], "filter": 'labels.deployed_model_id="2"'}
    )
    assert logged["entries"][0]["textPayload"] == "a server of no name begins"
    hosting.models.delete_model(name=bad.partition("@")[0]).result(**_WAIT)


@pytest.mark.thorough
def test_a_cancelled_deployment_leaves_nothing(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    slow = hosting.upload("slow", env=[{"name": "HEALTH", "value": "503"}])
    operation = hosting.deploying(endpoint, slow)
    hosting.until(lambda: servers(hosting))
    operation.cancel()
    with pytest.raises(exceptions.Cancelled):
        operation.result(**_WAIT)
    assert not hosting.told(endpoint).deployed_models
    hosting.endpoints.delete_endpoint(name=endpoint.name).result(**_WAIT)
    hosting.until(lambda: not servers(hosting))


def test_traffic_follows_the_split_exactly(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("old"), own="1")
    hosting.deploy(endpoint, hosting.upload("new"), {"1": 75, "0": 25}, own="2")
    assert hosting.told(endpoint).traffic_split == {"1": 75, "2": 25}
    assert Counter(hosting.ask(endpoint, 1)["name"] for _ in range(20)) == {"old": 15, "new": 5}
    update(hosting, "traffic_split", name=endpoint.name, traffic_split={"2": 100})
    assert Counter(hosting.ask(endpoint, 1)["name"] for _ in range(4)) == {"new": 4}


@pytest.mark.thorough
def test_an_empty_split_of_a_deployment_leaves_the_traffic_as_it_was(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("old"), own="1")
    hosting.deploy(endpoint, hosting.upload("new"), {}, own="2")
    told = hosting.told(endpoint)
    assert sorted(each.id for each in told.deployed_models) == ["1", "2"]
    assert told.traffic_split == {"1": 100}


@pytest.mark.thorough
def test_a_deployed_model_with_traffic_is_not_undeployed_while_others_remain(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    model = hosting.upload("good")
    hosting.deploy(endpoint, model, own="1")
    hosting.deploy(endpoint, model, {"1": 50, "0": 50}, own="2")
    with pytest.raises(exceptions.FailedPrecondition, match="50%"):
        undeploy(hosting, endpoint, "2")
    undeploy(hosting, endpoint, "2", {"1": 100})
    assert hosting.told(endpoint).traffic_split == {"1": 100}
    with pytest.raises(exceptions.NotFound):
        undeploy(hosting, endpoint, "2")


@pytest.mark.thorough
def test_no_request_fails_while_traffic_moves_and_the_old_model_goes(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    slowly = [{"name": "SECONDS", "value": "0.2"}]
    hosting.deploy(endpoint, hosting.upload("old", env=[{"name": "NAME", "value": "old"}, *slowly]), own="1")
    with ThreadPoolExecutor(4) as pool:
        running = True

        def ask() -> list[str]:
            found = []
            while running:
                found.append(hosting.ask(endpoint, 1)["name"])
            return found

        asking = [pool.submit(ask) for _ in range(4)]
        hosting.deploy(endpoint, hosting.upload("new"), {"1": 50, "0": 50}, own="2")
        undeploy(hosting, endpoint, "1", {"2": 100})
        time.sleep(0.2)
        running = False
        names = {name for each in asking for name in each.result(timeout=20)}
    assert names == {"old", "new"}


def test_an_endpoint_with_models_and_a_model_that_is_deployed_are_not_deleted(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    model = hosting.upload("good")
    hosting.deploy(endpoint, model, own="1")
    with pytest.raises(exceptions.FailedPrecondition, match="deployed or being-deployed"):
        hosting.endpoints.delete_endpoint(name=endpoint.name)
    with pytest.raises(exceptions.FailedPrecondition, match=endpoint.name):
        hosting.models.delete_model(name=model.partition("@")[0])
    undeploy(hosting, endpoint, "1")
    hosting.models.delete_model(name=model.partition("@")[0]).result(**_WAIT)


@pytest.mark.thorough
def test_replicas_are_processes_and_their_number_can_be_changed(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    slow = hosting.upload("slow", env=[{"name": "SECONDS", "value": "0.3"}])
    hosting.deploy(endpoint, slow, own="1", resources={"min_replica_count": 2, "max_replica_count": 3})
    asked = {
        "endpoint": endpoint.name,
        "deployed_model": {"id": "1", "dedicated_resources": {"min_replica_count": 3, "max_replica_count": 3}},
        "update_mask": {"paths": ["dedicated_resources.min_replica_count"]},
    }
    (deployed,) = hosting.told(endpoint).deployed_models
    assert deployed.status.available_replica_count == 2
    changed = hosting.endpoints.mutate_deployed_model(request=asked).result(**_WAIT).deployed_model
    assert changed.dedicated_resources.min_replica_count == 3
    assert changed.status.available_replica_count == 3
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: hosting.ask(endpoint, 1)["process"], range(3)))
    assert len(set(answers)) == 3


def test_a_script_of_faults_takes_the_machines_away(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    model = hosting.upload("good")
    hosting.emulator.faults.script([Fault(operation="DeployModel:Provisioning", do="fail", code="capacity")])
    with pytest.raises(exceptions.ResourceExhausted):
        hosting.deploy(endpoint, model)
    assert not hosting.told(endpoint).deployed_models
    hosting.deploy(endpoint, model)


def test_nothing_is_left_when_the_emulator_stops(hosting: Hosting, emulator: GcpEmulator) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("good"))
    assert servers(hosting)
    assert emulator.leftovers()
    emulator.stop()
    hosting.until(lambda: not servers(hosting))


def test_only_one_operation_goes_on_at_a_deployed_model(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    slow = hosting.upload("slow", env=[{"name": "HEALTH", "value": "503"}])
    operation = hosting.deploying(endpoint, slow, {}, "2")
    with pytest.raises(exceptions.FailedPrecondition, match="deploying"):
        undeploy(hosting, endpoint, "2")
    with pytest.raises(exceptions.AlreadyExists):
        hosting.deploying(endpoint, slow, {}, "2")
    with pytest.raises(exceptions.FailedPrecondition, match="being-deployed"):
        hosting.endpoints.delete_endpoint(name=endpoint.name)
    operation.cancel()


@pytest.mark.thorough
def test_a_mutation_that_does_not_come_up_leaves_all_as_it_was(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    model = hosting.upload("few", env=[{"name": "MOST", "value": "1"}])
    hosting.deploy(endpoint, model, own="1", resources={"max_replica_count": 2})
    asked = {
        "endpoint": endpoint.name,
        "deployed_model": {"id": "1", "dedicated_resources": {"min_replica_count": 2, "max_replica_count": 2}},
        "update_mask": {"paths": ["dedicated_resources.min_replica_count"]},
    }
    with pytest.raises(exceptions.FailedPrecondition, match="never became ready"):
        hosting.overdue(hosting.endpoints.mutate_deployed_model(request=asked))
    (told,) = hosting.told(endpoint).deployed_models
    assert told.dedicated_resources.min_replica_count == 1
    assert hosting.ask(endpoint, 1)["deployed"] == "1"
    undeploy(hosting, endpoint, "1")


class TestLimits:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=0.0, quotas=True, list_lag=60.0)

    def test_processors_beyond_the_projects_quota_are_refused(self, hosting: Hosting) -> None:
        hosting.emulator.quotas.ceiling("custom_model_serving_cpus", 5)
        endpoint = hosting.endpoint()
        model = hosting.upload("good")
        hosting.deploy(endpoint, model, own="1", resources={"max_replica_count": 2})
        with pytest.raises(exceptions.ResourceExhausted, match="custom_model_serving_cpus"):
            hosting.deploy(endpoint, model, {}, own="2")
        assert [each.id for each in hosting.told(endpoint).deployed_models] == ["1"]

    def test_lists_lag(self, hosting: Hosting) -> None:
        endpoint = hosting.endpoint()
        assert not list(hosting.endpoints.list_endpoints(parent=hosting.parent))
        hosting.emulator.clock.advance(61)
        assert [each.name for each in hosting.endpoints.list_endpoints(parent=hosting.parent)] == [endpoint.name]
