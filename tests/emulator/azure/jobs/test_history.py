"""The run history as its clients read it, and MLflow's tracking as jobs write it."""

from __future__ import annotations

import pytest
import requests

LOG = """
import json, os, ssl, urllib.request
base = os.environ["MLFLOW_TRACKING_URI"].replace("azureml://", "https://")
def call(name, body):
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/{name}",
        json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **body}).encode(),
        {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"},
    )
    return urllib.request.urlopen(request).read()
for step, value in enumerate((0.5, 0.75)):
    call("runs/log-metric", {"key": "auc", "value": value, "timestamp": step, "step": step})
call("runs/log-batch", {"params": [{"key": "rate", "value": "0.1"}], "tags": [{"key": "by", "value": "job"}]})
"""


@pytest.fixture
def ask(emulator, session):
    """A call of a service of the workspace: `ask("POST", "history/v1.0", "rundata", {…})`."""

    def make(method, service, path, body=None, principal="deployer", **query):
        address = f"{emulator.secure}/{service}{emulator.place.workspace_id}/{path}"
        return session(principal).request(method, address, json=body, params=query)

    return make


def test_a_job_logs_to_its_own_run(jobs, ask, emulator):
    jobs.run(LOG)
    found = ask("GET", "mlflow/v1.0", "api/2.0/mlflow/runs/get", run_id="asked").json()["run"]
    assert found["info"]["status"] == "FINISHED"
    assert [(each["key"], each["value"]) for each in found["data"]["metrics"]] == [("auc", 0.75)]
    assert found["data"]["params"] == [{"key": "rate", "value": "0.1"}]
    history = ask("GET", "mlflow/v1.0", "api/2.0/mlflow/metrics/get-history", run_id="asked", metric_key="auc").json()
    assert [each["value"] for each in history["metrics"]] == [0.5, 0.75]
    assert jobs.get("asked")["tags"] == {"by": "job"}
    assert emulator.history.metrics.told(emulator.place.child("jobs", "asked"))["metrics"][0]["step"] == 1


def test_a_parameter_does_not_change(jobs, ask):
    jobs.run("print(1)")
    call = "api/2.0/mlflow/runs/log-parameter"
    assert ask("POST", "mlflow/v1.0", call, {"run_id": "asked", "key": "a", "value": "1"}).status_code == 200
    refused = ask("POST", "mlflow/v1.0", call, {"run_id": "asked", "key": "a", "value": "2"})
    assert refused.json()["error"]["code"] == "INVALID_PARAMETER_VALUE"
    worse = ask("POST", "mlflow/v1.0", "api/2.0/mlflow/runs/log-metric", {"run_id": "asked", "key": "m", "value": "x"})
    assert (worse.status_code, worse.json()["error"]["code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert ask("POST", "mlflow/v1.0", call, ["nothing"]).status_code == 400


def test_a_run_is_found_by_its_experiment_or_without(jobs, ask):
    jobs.run("print(1)", experimentName="trials")
    for path in ("runs/asked", "experiments/trials/runs/asked"):
        assert ask("GET", "history/v1.0", path).json()["runId"] == "asked"
    assert ask("GET", "history/v1.0", "runs/none/details").status_code == 404
    assert ask("GET", "history/v1.0", "runs/asked/children").json() == {"value": []}


def test_a_run_is_described_anew(jobs, ask):
    jobs.run("print(1)", tags={"a": "1"})
    body = {"tags": {"b": "2"}, "displayName": "New", "hidden": True}
    assert ask("PATCH", "history/v1.0", "experiments/Default/runs/asked", body).json()["displayName"] == "New"
    found = jobs.get("asked")
    assert (found["tags"], found["displayName"], found["isArchived"]) == ({"a": "1", "b": "2"}, "New", True)


def test_what_a_run_left_is_resolved(jobs, ask, data):
    output = {"jobOutputType": "uri_folder", "uri": f"{data}/out/", "mode": "Upload"}
    jobs.run("print(1)", outputs={"model": output})
    told = ask("POST", "history/v1.0", "rundata", {"runId": "asked", "selectRunMetadata": True}).json()
    reference = told["runMetadata"]["outputs"]["model"]["assetId"]
    resolved = ask("POST", "data/v1.0", "dataversion/batchGetResolvedUris", {"values": [reference]}).json()
    assert resolved["values"][reference]["uri"] == f"{data}/out/"


def test_who_may_only_read_changes_nothing(jobs, ask):
    jobs.run("print(1)")
    assert ask("GET", "history/v1.0", "runs/asked", principal="approver").status_code == 200
    assert ask("PATCH", "history/v1.0", "runs/asked", {"tags": {"a": "1"}}, principal="approver").status_code == 403
    assert jobs.get("asked")["tags"] == {}


def test_log_files_open_for_an_hour_to_whoever_has_their_address(jobs, emulator):
    jobs.run("print('seen')")
    address = jobs.details("asked")["logFiles"]["user_logs/std_log.txt"]
    assert requests.get(address, verify=str(emulator.ca_file), timeout=30).text == "seen\n"
    emulator.clock.advance(2 * 3600)
    assert requests.get(address, verify=str(emulator.ca_file), timeout=30).status_code == 403
    assert jobs.lines("asked") == ["seen"]
