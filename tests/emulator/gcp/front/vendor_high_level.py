"""What somebody does on Vertex AI with `google.cloud.aiplatform` and `google.cloud.storage`, of which nothing is ours.

Run with the emulator's variables. Arguments: an image with Python, the service account that jobs and servers run as,
the transport, and a file for what was seen.
"""

import json
import os
import sys
from pathlib import Path

from google.api_core import exceptions
from google.cloud import aiplatform, storage

IMAGE, ACCOUNT, TRANSPORT, ANSWER = sys.argv[1:]
BUCKET = os.environ["MLINFRA_EMULATOR_STAGING_BUCKET"]
MACHINE = {"machine_type": "n1-standard-2", "min_replica_count": 1, "max_replica_count": 1}

TRAIN = """
import json, os
from google.cloud import storage

client = storage.Client()
def blob(uri):
    bucket, _, name = uri[len("gs://"):].partition("/")
    return client.bucket(bucket).blob(name)

rows = blob(os.environ["DATA"]).download_as_text().split()
mean = sum(map(float, rows)) / len(rows)
blob(os.environ["AIP_MODEL_DIR"] + "model.json").upload_from_string(json.dumps({"mean": mean}))
print("trained on", len(rows), "rows")
"""

SERVE = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from google.cloud import storage

bucket, _, prefix = os.environ["AIP_STORAGE_URI"][len("gs://"):].partition("/")
MEAN = json.loads(storage.Client().bucket(bucket).blob(prefix.rstrip("/") + "/model.json").download_as_text())["mean"]

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        times = float(os.environ.get("TIMES", "1"))
        self.answer({"predictions": [each * times > MEAN for each in asked["instances"]]})
    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""

aiplatform.init(
    project=os.environ["GOOGLE_CLOUD_PROJECT"],
    location=os.environ["GOOGLE_CLOUD_REGION"],
    api_endpoint=os.environ["MLINFRA_EMULATOR_API_ENDPOINT"],
    staging_bucket=f"{BUCKET}/artefacts",
    service_account=ACCOUNT,
    **({"api_transport": "rest"} if TRANSPORT == "rest" else {}),
)
seen: dict = {}


def upload(parent: str | None = None, **variables: str) -> aiplatform.Model:
    return aiplatform.Model.upload(
        display_name="mean",
        artifact_uri=f"{BUCKET}/artefacts/run/model",
        serving_container_image_uri=IMAGE,
        serving_container_command=["python3", "-c", SERVE],
        serving_container_environment_variables=variables or None,
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        serving_container_ports=[8080],
        labels={"team": "risk"},
        parent_model=parent,
        is_default_version=not parent,
        version_aliases=["candidate"] if parent else ["champion"],
    )


def shares(endpoint: aiplatform.Endpoint) -> dict[str, int]:
    names = {each.id: each.display_name for each in endpoint.list_models()}
    return {names[own]: share for own, share in endpoint.traffic_split.items()}


# Data

bucket = storage.Client().bucket(BUCKET.removeprefix("gs://"))
bucket.blob("data/rows.txt").upload_from_string("1 2 3 6")
seen["objects"] = [each.name for each in bucket.client.list_blobs(bucket, prefix="data/")]

# Training

pool = {
    "machine_spec": {"machine_type": "n1-standard-4"},
    "replica_count": 1,
    "container_spec": {
        "image_uri": IMAGE,
        "command": ["python3", "-c", TRAIN],
        "env": [{"name": "DATA", "value": f"{BUCKET}/data/rows.txt"}],
    },
}
job = aiplatform.CustomJob(
    display_name="train", worker_pool_specs=[pool], base_output_dir=f"{BUCKET}/artefacts/run", labels={"team": "risk"}
)
job.run(service_account=ACCOUNT)
seen["job"] = job.state.name
again = aiplatform.CustomJob(display_name="again", worker_pool_specs=[pool], labels={"team": "risk"})
again.submit(service_account=ACCOUNT)
again.cancel()
seen["jobs"] = sorted(each.display_name for each in aiplatform.CustomJob.list(filter='labels.team="risk"'))
seen["model"] = json.loads(bucket.blob("artefacts/run/model/model.json").download_as_text())

# Model and versions

first = upload()
second = upload(first.resource_name, TIMES="10")
registry = first.versioning_registry
seen["versions"] = {each.version_id: sorted(each.version_aliases) for each in registry.list_versions()}
registry.add_version_aliases(["challenger"], "2")
registry.remove_version_aliases(["candidate"], "2")
seen["alias"] = registry.get_model("challenger").version_id
first.update(description="the mean of the rows", labels={"stage": "dev"})
seen["labels"] = dict(aiplatform.Model.list(filter='labels.stage="dev"')[0].labels)

# Endpoint

endpoint = aiplatform.Endpoint.create(display_name="shop")
first.deploy(endpoint, deployed_model_display_name="first", service_account=ACCOUNT, **MACHINE)
seen["predictions"] = endpoint.predict([1, 2, 4]).predictions
second.deploy(endpoint, deployed_model_display_name="second", traffic_percentage=20, service_account=ACCOUNT, **MACHINE)
seen["split"] = shares(endpoint)
ids = {each.display_name: each.id for each in endpoint.list_models()}
endpoint.update(traffic_split={ids["first"]: 0, ids["second"]: 100})
seen["after"] = endpoint.predict([1]).predictions
try:
    first.delete()
    seen["deployed"] = "deleted"
except exceptions.GoogleAPICallError as error:
    seen["deployed"] = error.reason or type(error).__name__
endpoint.undeploy_all()
seen["undeployed"] = endpoint.list_models()

# Away with it

endpoint.delete()
first.delete()
for each in aiplatform.CustomJob.list():
    each.wait_for_resource_creation()
    if each.state.name not in {"JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"}:
        each._block_until_complete()
    each.delete()
seen["left"] = [len(kind.list()) for kind in (aiplatform.Endpoint, aiplatform.Model, aiplatform.CustomJob)]
Path(ANSWER).write_text(json.dumps(seen))
