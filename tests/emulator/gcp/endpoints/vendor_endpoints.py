"""What somebody does with `google.cloud.aiplatform`, of which nothing here is ours: run with the emulator's variables.

Arguments: the serving image, the address of a model's artifacts, and a file for what was seen.
"""

import json
import os
import sys
from pathlib import Path

from google.cloud import aiplatform

IMAGE, ARTIFACTS, ANSWER = sys.argv[1:]
ROW = {"age": 45.0, "income": 3.5}
MACHINE = {"machine_type": "n1-standard-2", "min_replica_count": 1, "max_replica_count": 1}

aiplatform.init(
    project=os.environ["GOOGLE_CLOUD_PROJECT"],
    location=os.environ["GOOGLE_CLOUD_REGION"],
    api_endpoint=os.environ["MLINFRA_EMULATOR_API_ENDPOINT"],
    staging_bucket=os.environ["MLINFRA_EMULATOR_STAGING_BUCKET"],
)
seen: dict = {}


def upload(parent: str | None = None) -> aiplatform.Model:
    return aiplatform.Model.upload(
        display_name="credit",
        artifact_uri=ARTIFACTS,
        serving_container_image_uri=IMAGE,
        serving_container_predict_route="/invocations",
        serving_container_health_route="/ping",
        serving_container_ports=[8080],
        parent_model=parent,
    )


first = upload()
second = upload(first.resource_name)
endpoint = aiplatform.Endpoint.create(display_name="shop", labels={"team": "risk"})
first.deploy(endpoint, deployed_model_display_name="first", **MACHINE)
answer = endpoint.predict([ROW, {**ROW, "age": 20.0}])
seen["predictions"] = answer.predictions
seen["version"] = answer.model_version_id
second.deploy(endpoint, deployed_model_display_name="second", traffic_percentage=30, **MACHINE)
ids = {each.display_name: each.id for each in endpoint.list_models()}
names = {own: name for name, own in ids.items()}
seen["split"] = {names[own]: share for own, share in endpoint.traffic_split.items()}
endpoint.update(traffic_split={ids["second"]: 100}, description="for the shop")
seen["updated"] = {names[own]: share for own, share in endpoint.traffic_split.items()}
seen["served by"] = {names[endpoint.predict([ROW]).deployed_model_id] for _ in range(4)} == {"second"}
endpoint.undeploy(ids["first"])
seen["listed"] = [each.display_name for each in aiplatform.Endpoint.list(filter='labels.team="risk"')]

own = aiplatform.Endpoint.create(display_name="own", dedicated_endpoint_enabled=True)
second.deploy(own, **MACHINE)
seen["dedicated"] = own.predict([ROW]).predictions
raw = own.raw_predict(json.dumps({"instances": [ROW]}).encode(), {"Content-Type": "application/json"})
seen["raw"] = raw.json()["predictions"]
seen["raw by"] = raw.headers["X-Vertex-AI-Model"] == second.resource_name

for each in (endpoint, own):
    each.undeploy_all()
    each.delete()
first.delete()
seen["left"] = [len(aiplatform.Endpoint.list()), len(aiplatform.Model.list())]
Path(ANSWER).write_text(json.dumps(seen))
