"""The vendor's resources for hosting as their users write them, in a process of its own.

Arguments: the execution role, the image, the address of the model's archive, a file for the answer, a JSON document.
Every other thing is told by environment variables, which `emulator env` prints.
"""

import json
import sys
from pathlib import Path

from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

ROLE, IMAGE, DATA, ANSWER = sys.argv[1:]
BODY = json.dumps({"instances": [{"age": 40.0, "income": 3.0}]})


def variant(model):
    return ProductionVariant(
        variant_name="main", model_name=model, instance_type="ml.m5.large", initial_instance_count=1
    )


def main():
    Model.create(
        model_name="credit",
        execution_role_arn=ROLE,
        primary_container=ContainerDefinition(image=IMAGE, model_data_url=DATA),
    )
    EndpointConfig.create(endpoint_config_name="first", production_variants=[variant("credit")])
    second = EndpointConfig.create(endpoint_config_name="second", production_variants=[variant("credit")])
    told = {"config": EndpointConfig.get("first").production_variants[0].initial_variant_weight}

    endpoint = Endpoint.create(endpoint_name="credit", endpoint_config_name="first")
    told["created"] = endpoint.endpoint_status
    endpoint.wait_for_status("InService", poll=1, timeout=60)
    answer = endpoint.invoke(body=BODY, content_type="application/json")
    told["answer"] = json.loads(answer.body.read())
    told["variant"] = answer.invoked_production_variant

    endpoint.endpoint_config_name = "second"
    endpoint.update()
    endpoint.wait_for_status("InService", poll=1, timeout=60)
    endpoint.refresh()
    told["updated"] = endpoint.endpoint_config_name
    told["listed"] = [each.endpoint_name for each in Endpoint.get_all()]

    Endpoint.get("credit").delete()
    endpoint.wait_for_delete(poll=1, timeout=60)
    second.delete()
    EndpointConfig.get("first").delete()
    Model.get("credit").delete()
    told["left"] = [each.endpoint_config_name for each in EndpointConfig.get_all()]
    Path(ANSWER).write_text(json.dumps(told))


main()
