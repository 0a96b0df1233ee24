"""What `test_vendor_sdk` runs: azure.ai.ml's MLClient as its users write it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from pathlib import Path

from azure.ai.ml import Input, MLClient, Output, command
from azure.ai.ml.entities import AmlCompute, Environment, ManagedIdentityConfiguration
from azure.ai.ml.exceptions import JobException
from azure.identity import EnvironmentCredential

known = json.loads(os.environ["EMULATOR"])
ml = MLClient(
    EnvironmentCredential(disable_instance_discovery=True),  # else it asks Microsoft whether the authority is known
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZUREML_ARM_RESOURCEGROUP"],
    os.environ["AZUREML_ARM_WORKSPACE_NAME"],
)
TRAIN = """
import os, pathlib, sys
from azure.identity import ManagedIdentityCredential
pathlib.Path(sys.argv[2], "model.txt").write_text(pathlib.Path(sys.argv[1], "rows.csv").read_text().upper())
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs", "note.txt").write_text("kept")
credential = ManagedIdentityCredential(client_id=os.environ["DEFAULT_IDENTITY_CLIENT_ID"])
print("token for", len(credential.get_token("https://storage.azure.com/.default").token) > 20)
print("trained with", sys.argv[3])
"""
code = Path("code")
code.mkdir()
(code / "train.py").write_text(TRAIN)
python = Environment(name="python", version="1", image=known["image"])


def job(name: str, line: str, **more: object) -> object:
    return command(
        name=name,
        code=str(code),
        command=line,
        environment=python,
        compute=known["compute"],
        experiment_name="vendor",
        **more,
    )


def ended(name: str) -> str:
    while True:
        status = ml.jobs.get(name).status
        if status in {"Completed", "Failed", "Canceled"}:
            return status
        time.sleep(0.1)


ml.jobs.create_or_update(
    job(
        "short",
        "python train.py ${{inputs.rows}} ${{outputs.model}} ${{inputs.rate}}",
        inputs={"rows": Input(type="uri_folder", path=known["rows"], mode="download"), "rate": 0.5},
        outputs={"model": Output(type="uri_folder", mode="upload")},
        identity=ManagedIdentityConfiguration(client_id=known["client_id"]),
        tags={"made": "by-the-sdk"},
    )
)
shown = io.StringIO()
with contextlib.redirect_stdout(shown):
    ml.jobs.stream("short")
told = {"streamed": shown.getvalue(), "short": ml.jobs.get("short").status}
ml.jobs.download("short", download_path="down", all=True)
told["model"] = Path("down/named-outputs/model/model.txt").read_text()
told["downloaded"] = sorted(str(path.relative_to("down")) for path in Path("down").rglob("*") if path.is_file())

ml.jobs.create_or_update(job("long", "sleep 100"))
while ml.jobs.get("long").status != "Running":
    time.sleep(0.1)
ml.jobs.begin_cancel("long").result()
told["long"] = ended("long")

ml.jobs.create_or_update(job("fails", "echo on its way; exit 4"))
try:
    with contextlib.redirect_stdout(io.StringIO()):
        ml.jobs.stream("fails")
    told["failure"] = ""
except JobException as error:
    told["failure"] = str(error)

told["listed"] = sorted(each.name for each in ml.jobs.list())
told["tagged"] = [each.name for each in ml.jobs.list(tag="made=by-the-sdk")]
ml.jobs.archive("fails")
told["active"] = sorted(each.name for each in ml.jobs.list())
ml.compute.begin_create_or_update(AmlCompute(name="more", size="Standard_DS3_v2", max_instances=2)).result()
told["clusters"] = sorted(each.name for each in ml.compute.list())
told["size"] = ml.compute.get("more").size
ml.compute.begin_delete("more").result()
for name in ("short", "long", "fails"):
    ml.jobs.begin_delete(name).result()
told["left"] = [each.name for each in ml.jobs.list(list_view_type="All")]
Path("told.json").write_text(json.dumps(told))
