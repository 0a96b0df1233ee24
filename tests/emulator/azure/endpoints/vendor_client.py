"""What the client that the vendor generates from its own API description does with online endpoints.

Run with the emulator's variables. Arguments: the id of an environment, and a file for what was seen.
"""

import json
import os
import sys
from pathlib import Path

from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient, models
from azure.core.exceptions import HttpResponseError
from azure.identity import EnvironmentCredential

ENVIRONMENT, ANSWER = sys.argv[1:]
WHERE = {
    "resource_group_name": os.environ["AZUREML_ARM_RESOURCEGROUP"],
    "workspace_name": os.environ["AZUREML_ARM_WORKSPACE_NAME"],
}
ENDPOINT = {**WHERE, "endpoint_name": "shop"}
DEPLOYMENT = {**ENDPOINT, "deployment_name": "blue"}
seen: dict = {}
client = MachineLearningServicesMgmtClient(
    EnvironmentCredential(disable_instance_discovery=True),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["MLINFRA_EMULATOR_AZURE"],
    credential_scopes=["https://management.azure.com/.default"],
)
asked = models.OnlineEndpoint(
    location="westeurope", properties=models.OnlineEndpointProperties(auth_mode="Key"), tags={"a": "b"}
)
made = client.online_endpoints.begin_create_or_update(**ENDPOINT, body=asked).result()
seen["made"] = made.properties.provisioning_state
properties = models.ManagedOnlineDeployment(
    environment_id=ENVIRONMENT, instance_type="Standard_F4s_v2", environment_variables={"NAME": "x"}
)
deployment = models.OnlineDeployment(
    location="westeurope", sku=models.Sku(name="Default", capacity=1), properties=properties
)
told = client.online_deployments.begin_create_or_update(**DEPLOYMENT, body=deployment).result().properties
seen["defaults"] = [told.request_settings.request_timeout.total_seconds(), told.readiness_probe.failure_threshold]
made.properties.traffic = {"blue": 100}
client.online_endpoints.begin_create_or_update(**ENDPOINT, body=made).result()
seen["traffic"] = [dict(each.properties.traffic) for each in client.online_endpoints.list(**WHERE)]
patch = models.PartialMinimalTrackedResourceWithSku(sku=models.PartialSku(capacity=2))
client.online_deployments.begin_update(**DEPLOYMENT, body=patch).result()
seen["capacity"] = client.online_deployments.get(**DEPLOYMENT).sku.capacity
seen["skus"] = [each.sku.name for each in client.online_deployments.list_skus(**DEPLOYMENT)]
logs = client.online_deployments.get_logs(**DEPLOYMENT, body=models.DeploymentLogsRequest())
seen["logs"] = "a server of x begins" in logs.content
seen["keys"] = len(client.online_endpoints.list_keys(**ENDPOINT).primary_key)
try:
    client.online_deployments.begin_delete(**DEPLOYMENT).result()
except HttpResponseError as exc:
    seen["refused"] = [exc.status_code, exc.error.code]
client.online_endpoints.begin_delete(**ENDPOINT).result()
seen["left"] = [each.name for each in client.online_endpoints.list(**WHERE)]
Path(ANSWER).write_text(json.dumps(seen))
