"""What an endpoint is made of: the endpoint, a model for each deployment, and the deployed models in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.catalog.gcp import machine_spec
from mlinfra.contract.manifest import manifest_variables
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra_gcp.config import overridden
from mlinfra_gcp.labels import ID, labels
from mlinfra_gcp.places import kms_key, parent, resource, service_account
from mlinfra_gcp.render import endpoint_scaling as scaling
from mlinfra_gcp.render.endpoint_choices import machine_of, serving_image
from mlinfra_gcp.render.endpoint_names import BEHIND, EXPIRES, NAME, deployed_id, endpoint_name, serves_text, title
from mlinfra_gcp.render.endpoint_names import model_id as id_of_content

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra_gcp.render.endpoint_state import Prepared

PORT = 8080
PREDICT_ROUTE, HEALTH_ROUTE = "/invocations", "/ping"  # the server's own, the same on every platform
START_TIMEOUT = 1800  # seconds in which a deployment must become ready; Vertex AI takes up to two hours
_UNTOLD = frozenset({"labels", "versionDescription"})  # of a model, what its id does not follow from
_PROJECT = "projects/"


def endpoint(desired: EndpointDesired, environment: Environment) -> Document:
    """CreateEndpoint's body.

    Raises:
        SpecError: the overrides do not fit.
    """
    key, network = kms_key(environment, "endpoint"), environment.network
    body: Document = {
        "parent": parent(environment),
        "endpointId": desired.physical_name,
        "endpoint": {
            "displayName": desired.physical_name,
            "labels": endpoint_labels(desired, environment),
            **({"encryptionSpec": {"kmsKeyName": key}} if key else {}),
            **(_inside(environment) if network.private_endpoints else _address(environment)),
            **({"privateModelServerEnabled": True} if network.isolated else {}),
        },
    }
    return overridden("CreateEndpoint", body, desired.spec, environment)


def endpoint_labels(desired: EndpointDesired, environment: Environment) -> dict[str, str]:
    """The labels of an endpoint of the kit's; an end is told in seconds, since labels hold no colons."""
    expires = {EXPIRES: str(int(desired.expires.timestamp()))} if desired.expires else {}
    marks = {ID: desired.tags[ID], NAME: desired.name, **expires}
    return labels(environment, {name: value for name, value in desired.tags.items() if name != ID}, **marks)


def model(desired: EndpointDesired, deployment: DeploymentDesired, environment: Environment) -> Document:
    """UploadModel's body for a deployment; the id follows from everything but labels.

    Raises:
        SpecError: the overrides do not fit, or the settings are too large.
        CapabilityError: there is no serving image.
    """
    key = kms_key(environment, "model")
    tags = {name: value for name, value in deployment.tags.items() if name != ID}
    marks = {ID: deployment.tags[ID], BEHIND: desired.physical_name}
    body: Document = {
        "parent": parent(environment),
        "modelId": id_of_content(desired.physical_name, {}),
        "model": {
            "displayName": f"{desired.physical_name} {deployment.name}",
            "versionDescription": serves_text(deployment),
            "artifactUri": deployment.artefact.uri.rstrip("/"),
            "containerSpec": container(deployment, environment),
            "labels": labels(environment, tags, **marks),
            **({"encryptionSpec": {"kmsKeyName": key}} if key else {}),
        },
    }
    merged = overridden("UploadModel", body, desired.spec, environment)
    content = {name: value for name, value in merged["model"].items() if name not in _UNTOLD}
    return {**merged, "modelId": id_of_content(desired.physical_name, content)}


def container(deployment: DeploymentDesired, environment: Environment) -> Document:
    """The model server's container; where the model lies and which port to use Vertex AI tells it."""
    limits = MANIFEST_VARIABLES["endpoint"]
    serving = {**deployment.server, **_capture_key(deployment, environment)}
    variables = manifest_variables({"serving": serving}, length=limits.length, count=limits.most)
    return {
        "imageUri": serving_image(environment),
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ports": [{"containerPort": PORT}],
        "predictRoute": PREDICT_ROUTE,
        "healthRoute": HEALTH_ROUTE,
        "deploymentTimeout": f"{START_TIMEOUT}s",
    }


def deploy(
    desired: EndpointDesired,
    deployment: DeploymentDesired,
    environment: Environment,
    *,
    prepared: Prepared,
    attempt: int,
    split: dict[str, int],
) -> Document:
    """DeployModel's body. With a split traffic moves when the newcomer, which is "0" in it, is ready.

    Raises:
        SpecError: the overrides do not fit, or the environment names no account for servers.
    """
    body = _deploy(desired, deployment, environment)
    own = title(deployment, attempt)
    body["deployedModel"] |= {
        "id": deployed_id(own, prepared.made),
        "model": resource(environment, "models", prepared.id),
        "displayName": own,
    }
    return {**body, **({"trafficSplit": split} if split else {})}


def machines(
    desired: EndpointDesired, deployment: DeploymentDesired, environment: Environment
) -> tuple[Document | None, int]:
    """The dedicated machines that a deployment should have, None where an override gives it others.

    The number beside them is how many replicas may be the least for the time being, where that is more.
    """
    calm = _deploy(desired, replace(deployment, replicas=0), environment)["deployedModel"].get("dedicatedResources")
    busy = _deploy(desired, deployment, environment)["deployedModel"].get("dedicatedResources")
    return calm, int((busy or {}).get("minReplicaCount") or 1)


def _deploy(desired: EndpointDesired, deployment: DeploymentDesired, environment: Environment) -> Document:
    """DeployModel's body with what an override may change, checked; the kit's own names are not in it yet."""
    variant = desired.spec.deployments.get(deployment.variant)
    own = (variant.resources if variant else None) or desired.spec.resources
    fit = machine_of(desired.spec.model_copy(update={"resources": own}))
    follows = scaling.follows(desired.spec)
    body: Document = {
        "endpoint": endpoint_name(desired.physical_name, environment),
        "deployedModel": {
            "dedicatedResources": {
                "machineSpec": machine_spec(fit.machine),
                "minReplicaCount": scaling.first_least(desired, deployment),
                "maxReplicaCount": scaling.bounds(desired.spec)[1],
                **({"autoscalingMetricSpecs": follows} if follows else {}),
            },
            "serviceAccount": service_account(environment, "server"),
        },
    }
    return overridden("DeployModel", body, desired.spec, environment)


def _capture_key(deployment: DeploymentDesired, environment: Environment) -> Document:
    """The key for capture records, where their store has one of its own; else the bucket's."""
    location = environment.stores.get("captures")
    key = environment.keys.get(location.key, "") if location and location.key else ""
    return {"capture_key": key} if key and deployment.server.get("capture") else {}


def _address(environment: Environment) -> Document:
    """Whether the endpoint answers at a name of its own, apart from other customers' traffic."""
    return {"dedicatedEndpointEnabled": True} if getattr(environment, "dedicated_endpoints", False) else {}


def _inside(environment: Environment) -> Document:
    """The endpoint answers inside the network alone, by Private Service Connect."""
    projects = [environment.account, *([_project_of(environment.network.id)] if environment.network.id else [])]
    return {
        "privateServiceConnectConfig": {
            "enablePrivateServiceConnect": True,
            "projectAllowlist": sorted(set(filter(None, projects))),
        }
    }


def _project_of(network: str) -> str:
    """The project in a network's resource name, which may be another's: a shared VPC's host."""
    return network.removeprefix(_PROJECT).partition("/")[0] if network.startswith(_PROJECT) else ""
