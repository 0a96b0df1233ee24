"""What somebody does on Azure Machine Learning with `azure.ai.ml`'s MLClient, of which nothing is ours.

Run with the emulator's variables. Arguments: images with Python and with a server, and a file for what was seen.
"""

import json
import os
import sys
import time
from pathlib import Path

from azure.ai.ml import Input, MLClient, Output, command
from azure.ai.ml.entities import (
    Data,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
)
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import EnvironmentCredential

IMAGE, SERVER, ANSWER = sys.argv[1:]
TRAIN = """
import json, pathlib, sys
rows = pathlib.Path(sys.argv[1], "rows.txt").read_text().split()
pathlib.Path(sys.argv[2], "model.json").write_text(json.dumps({"mean": sum(map(float, rows)) / len(rows)}))
print("trained on", len(rows), "rows")
"""
ROUTES = {
    "liveness_route": {"port": 8080, "path": "/live"},
    "readiness_route": {"port": 8080, "path": "/ready"},
    "scoring_route": {"port": 8080, "path": "/score"},
}
seen: dict = {}

ml = MLClient(
    EnvironmentCredential(disable_instance_discovery=True),  # else it asks Microsoft whether the authority is known
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZUREML_ARM_RESOURCEGROUP"],
    os.environ["AZUREML_ARM_WORKSPACE_NAME"],
)
seen["workspace"] = ml.workspaces.get(os.environ["AZUREML_ARM_WORKSPACE_NAME"]).name

# Data, and a job whose code is uploaded
Path("rows").mkdir()
Path("rows", "rows.txt").write_text("1 2 6")
Path("code").mkdir()
Path("code", "train.py").write_text(TRAIN)
data = ml.data.create_or_update(Data(name="rows", path="rows", type="uri_folder"))
seen["data"] = [data.name, data.version]
python = ml.environments.create_or_update(Environment(name="python", image=IMAGE))
seen["environments"] = [(each.name, each.version) for each in ml.environments.list("python")]


def job(line: str):
    return command(
        code="code",
        command=line,
        environment=python,
        inputs={"rows": Input(type="uri_folder", path=f"azureml:{data.name}:{data.version}")},
        outputs={"model": Output(type="uri_folder")},
        experiment_name="vendor",
    )


trained = ml.jobs.create_or_update(job("python train.py ${{inputs.rows}} ${{outputs.model}}"))
ml.jobs.stream(trained.name)
seen["job"] = ml.jobs.get(trained.name).status
waiting = ml.jobs.create_or_update(job("sleep 600"))
ml.jobs.begin_cancel(waiting.name).wait()
while ml.jobs.get(waiting.name).status != "Canceled":
    time.sleep(0.1)
seen["jobs"] = len(list(ml.jobs.list()))

# Models: from the job, from files, found, changed, archived, downloaded
made = Model(name="mean", path=f"azureml://jobs/{trained.name}/outputs/model", type="custom_model")
first = ml.models.create_or_update(made)
Path("files").mkdir()
Path("files", "model.json").write_text('{"mean": 0}')
second = ml.models.create_or_update(Model(name="mean", path="files", type="custom_model", tags={"stage": "dev"}))
seen["versions"] = sorted(each.version for each in ml.models.list("mean"))
seen["latest"] = ml.models.get("mean", label="latest").version
second.tags["stage"] = "prod"
seen["tags"] = ml.models.create_or_update(second).tags
ml.models.archive("mean", second.version)
seen["active"] = [each.version for each in ml.models.list("mean")]
ml.models.restore("mean", second.version)
ml.models.download("mean", first.version, "downloaded")
seen["model"] = json.loads(next(Path("downloaded").rglob("model.json")).read_text())
try:
    ml.models.get("nothing", "1")
except ResourceNotFoundError as exc:
    seen["missing"] = exc.error.code

# An endpoint, two deployments, a split, predictions, and away
serving = Environment(name="serving", image=SERVER, inference_config=ROUTES)
ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="vendor-mean", auth_mode="key")).result()


def deploy(name: str, model: Model) -> None:
    deployment = ManagedOnlineDeployment(
        name=name,
        endpoint_name="vendor-mean",
        model=model,
        environment=serving,
        instance_type="Standard_F4s_v2",
        instance_count=1,
        request_settings=OnlineRequestSettings(max_concurrent_requests_per_instance=8, request_timeout_ms=20000),
    )
    ml.online_deployments.begin_create_or_update(deployment).result()


def traffic(**shares: int) -> None:
    endpoint = ml.online_endpoints.get("vendor-mean")
    endpoint.traffic = shares
    ml.online_endpoints.begin_create_or_update(endpoint).result()


deploy("first", first)
traffic(first=100)
Path("asked.json").write_text("[2, 4]")
seen["answer"] = json.loads(ml.online_endpoints.invoke("vendor-mean", request_file="asked.json"))
deploy("second", second)
traffic(first=80, second=20)
seen["split"] = ml.online_endpoints.get("vendor-mean").traffic
named = ml.online_endpoints.invoke("vendor-mean", request_file="asked.json", deployment_name="second")
seen["named"] = json.loads(named)
seen["keys"] = len(ml.online_endpoints.get_keys("vendor-mean").primary_key) > 0
traffic(second=100)
ml.online_deployments.begin_delete(name="first", endpoint_name="vendor-mean").wait()
seen["deployments"] = [each.name for each in ml.online_deployments.list("vendor-mean")]
ml.online_endpoints.begin_delete("vendor-mean").wait()
seen["endpoints"] = [each.name for each in ml.online_endpoints.list()]
Path(ANSWER).write_text(json.dumps(seen))
