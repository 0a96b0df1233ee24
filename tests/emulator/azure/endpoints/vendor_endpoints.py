"""What somebody does with online endpoints by `azure.ai.ml`'s MLClient, of which nothing is ours.

Run with the emulator's variables. Arguments: an image with the kit's server, an image whose server never gets ready,
the folder of a model, and a file for what was seen.
"""

import json
import os
import sys
from pathlib import Path

from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
    ProbeSettings,
)
from azure.core.exceptions import HttpResponseError
from azure.identity import EnvironmentCredential

IMAGE, BROKEN, PACKAGE, ANSWER = sys.argv[1:]
ROW = {"age": 45.0, "income": 3.5}
ROUTES = {
    "liveness_route": {"port": 8080, "path": "/ping"},
    "readiness_route": {"port": 8080, "path": "/ping"},
    "scoring_route": {"port": 8080, "path": "/score"},
}
seen: dict = {}
ml = MLClient(
    EnvironmentCredential(disable_instance_discovery=True),  # else it asks Microsoft whether the authority is known
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZUREML_ARM_RESOURCEGROUP"],
    os.environ["AZUREML_ARM_WORKSPACE_NAME"],
)
model = ml.models.create_or_update(Model(name="credit", path=PACKAGE, type="custom_model"))
Path("asked.json").write_text(json.dumps({"instances": [ROW, {**ROW, "age": 20.0}]}))


def deploy(endpoint: str, name: str, image: str = IMAGE, failures: int = 30):
    deployment = ManagedOnlineDeployment(
        name=name,
        endpoint_name=endpoint,
        model=model,
        environment=Environment(name=f"server-{name}", image=image, inference_config=ROUTES),
        instance_type="Standard_F4s_v2",
        instance_count=1,
        request_settings=OnlineRequestSettings(max_concurrent_requests_per_instance=8, request_timeout_ms=20000),
        readiness_probe=ProbeSettings(initial_delay=1, period=1, failure_threshold=failures),
        tags={"by": "vendor"},
    )
    return ml.online_deployments.begin_create_or_update(deployment).result()


def invoke(endpoint: str) -> list:
    return json.loads(ml.online_endpoints.invoke(endpoint, request_file="asked.json"))["predictions"]


made = ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="shop", auth_mode="key")).result()
seen["made"] = [made.provisioning_state, made.identity.type]
told = deploy("shop", "blue")
concurrent = told.request_settings.max_concurrent_requests_per_instance
seen["blue"] = [told.provisioning_state, told.instance_count, concurrent]
deploy("shop", "green")
endpoint = ml.online_endpoints.get("shop")
endpoint.traffic, endpoint.mirror_traffic = {"blue": 100}, {"green": 20}
seen["mirrored"] = ml.online_endpoints.begin_create_or_update(endpoint).result().mirror_traffic
seen["answer"] = invoke("shop")
seen["logs"] = len(ml.online_deployments.get_logs("blue", "shop", 100)) > 0
before = ml.online_endpoints.get_keys("shop")
ml.online_endpoints.begin_regenerate_keys("shop", key_type="secondary").wait()
after = ml.online_endpoints.get_keys("shop")
seen["keys"] = [before.primary_key == after.primary_key, before.secondary_key == after.secondary_key]

# More instances, by what was read
blue = ml.online_deployments.get("blue", "shop")
blue.instance_count = 2
seen["instances"] = ml.online_deployments.begin_create_or_update(blue).result().instance_count
seen["traffic"] = ml.online_endpoints.get("shop").traffic

# One that never gets ready, and one that has traffic
try:
    deploy("shop", "grey", BROKEN, failures=1)
except HttpResponseError as exc:
    seen["broken"] = exc.error.code if exc.error else str(exc)
seen["grey"] = ml.online_deployments.get("grey", "shop").provisioning_state
try:
    ml.online_deployments.begin_delete(name="blue", endpoint_name="shop").result()
except HttpResponseError as exc:
    seen["refused"] = exc.status_code

# The other ways to show who one is
for name, mode in (("tokens", "aml_token"), ("entra", "aad_token")):
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode=mode)).result()
    deploy(name, "blue")
    other = ml.online_endpoints.get(name)
    other.traffic = {"blue": 100}
    ml.online_endpoints.begin_create_or_update(other).result()
    seen[name] = invoke(name)

for each in list(ml.online_endpoints.list()):
    ml.online_endpoints.begin_delete(each.name).wait()
seen["left"] = [each.name for each in ml.online_endpoints.list()]
Path(ANSWER).write_text(json.dumps(seen))
