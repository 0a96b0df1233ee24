"""What an endpoint is made of: the endpoint, a deployment for each version behind it, and the environment they run in.

Sources: the models of api-version 2025-12-01; for mounts, probes, routes and request settings the guide on custom
containers and the schema of managed online deployments (Azure ML documentation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.contract.manifest import manifest_variables
from mlinfra.spec.limits import MANIFEST_VARIABLES
from mlinfra_azure.config import overridden
from mlinfra_azure.places import asset, identity
from mlinfra_azure.render.assets import image_version
from mlinfra_azure.render.containers import identity_variables
from mlinfra_azure.render.endpoint_choices import DEPLOY, KUBERNETES, compute_type, machine_of, serving_image
from mlinfra_azure.render.endpoint_names import ENVIRONMENT_TAG, EXPIRES_TAG, NAME_TAG, SERVES_TAG, serves_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired
    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.spec.resources import EndpointResources

PUT_ENDPOINT = "OnlineEndpoints_CreateOrUpdate"
PORT = 8080
SCORE, LIVE, READY = "/score", "/v2/health/live", "/v2/health/ready"  # the server's own routes
MOUNT = "/var/mlinfra/model"  # below it <name>/<version>/, and below that the folder that was registered
CONCURRENCY = 500  # requests at once; the server refuses by itself what is too much, and an endpoint takes 500
REQUEST_SECONDS = 60  # for an answer, as on the other platforms; Azure's own default is 5
PERIOD, ANSWER_WITHIN, START_TIMEOUT = 10, 2, 600  # seconds: between two probes, for one, and for a server to start
CLUSTER = "kubernetes"  # in the environment's `compute`: the attached cluster for Kubernetes deployments
_UTILIZATION = 70  # percent of the processors at which a Kubernetes deployment gets another replica
# What PUT takes of an endpoint, beside its identity: the rest of what GET tells is read-only.
_WRITABLE = ("location", "tags", "kind", "sku")
_WRITABLE_PROPERTIES = (
    "authMode",
    "compute",
    "description",
    "mirrorTraffic",
    "properties",
    "publicNetworkAccess",
    "traffic",
)
_LAST_OPERATION = "AzureAsyncOperationUri"  # the service's own among `properties`: another one after each operation


def endpoint(desired: EndpointDesired, environment: Environment) -> Document:
    """A new endpoint, without traffic. Callers show a token of Microsoft Entra, unless an override says otherwise.

    Raises:
        SpecError: the overrides do not fit, or the environment names no identity for servers.
    """
    cluster = environment.compute.get(CLUSTER, "")
    body: Document = {
        "location": environment.region,
        "tags": endpoint_tags(desired, environment),
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity(environment, "server"): {}}},
        "properties": {
            "authMode": "AADToken",
            "publicNetworkAccess": _access(closed=environment.network.private_endpoints),
            **({"compute": cluster} if cluster and compute_type(desired.spec) == KUBERNETES else {}),
        },
    }
    return overridden(PUT_ENDPOINT, body, desired.spec, environment)


def changed(there: Mapping[str, Any], *, tags: Mapping[str, str] | None = None, **properties: Any) -> Document:
    """An endpoint that is there as PUT takes it, with other tags or properties: a PUT replaces the whole."""
    body: Document = {name: there[name] for name in _WRITABLE if there.get(name) is not None}
    told = {name: there["properties"].get(name) for name in _WRITABLE_PROPERTIES}
    own = {name: text for name, text in (told["properties"] or {}).items() if name != _LAST_OPERATION}
    told |= {"properties": own or None, **properties}
    body["properties"] = {name: value for name, value in told.items() if value is not None}
    if found := there.get("identity"):
        assigned = found.get("userAssignedIdentities")
        body["identity"] = {
            "type": found["type"],
            **({"userAssignedIdentities": {name: {} for name in assigned}} if assigned else {}),
        }
    return {**body, "tags": dict(tags)} if tags is not None else body


def endpoint_tags(desired: EndpointDesired, environment: Environment) -> dict[str, str]:
    """The tags of an endpoint of the kit's."""
    expires = {EXPIRES_TAG: desired.expires.isoformat(timespec="seconds")} if desired.expires else {}
    return {**desired.tags, NAME_TAG: desired.name, ENVIRONMENT_TAG: environment.suffix, **expires}


def deployment(desired: EndpointDesired, wanted: DeploymentDesired, environment: Environment) -> Document:
    """A new deployment, managed or on the attached cluster: the API's union, between which an override chooses.

    Raises:
        SpecError: the overrides do not fit, or the settings are too large.
        CapabilityError: no machine is enough, or there is no serving image.
    """
    kind = compute_type(desired.spec)
    place = _on_kubernetes if kind == KUBERNETES else _on_machines
    properties: Document = {
        "endpointComputeType": kind,
        "model": _model(wanted, environment),
        "modelMountPath": MOUNT,
        "environmentId": serving_environment(environment)[0],
        "environmentVariables": _variables(wanted, environment),
        "requestSettings": {
            "requestTimeout": f"PT{REQUEST_SECONDS}S",
            "maxConcurrentRequestsPerInstance": CONCURRENCY,
        },
        "livenessProbe": _probe(),
        "readinessProbe": _probe(),
        "egressPublicNetworkAccess": _access(closed=environment.network.isolated),
        **place(desired, wanted),
    }
    body: Document = {
        "location": environment.region,
        "tags": {**wanted.tags, NAME_TAG: desired.name, SERVES_TAG: serves_text(wanted)},
        "sku": {"name": "Default", "capacity": wanted.replicas},
        "properties": properties,
    }
    return overridden(DEPLOY, body, desired.spec, environment)


def serving_environment(environment: Environment) -> tuple[str, Request]:
    """The environment version that servers run in, the same for all endpoints: its id, and the call that makes it."""
    routes = {"livenessRoute": LIVE, "readinessRoute": READY, "scoringRoute": SCORE}
    inference: Document = {name: {"port": PORT, "path": path} for name, path in routes.items()}
    return image_version(serving_image(environment), environment, inference)


def _model(wanted: DeploymentDesired, environment: Environment) -> str:
    """The address of the registered version: in the workspace, or in a registry."""
    return wanted.native_model or asset(environment, "models", wanted.model, wanted.version)


def _resources(desired: EndpointDesired, wanted: DeploymentDesired) -> EndpointResources:
    """What each replica of a deployment needs: its variant's own, or the endpoint's."""
    variant = desired.spec.deployments.get(wanted.variant)
    return (variant.resources if variant else None) or desired.spec.resources


def _on_machines(desired: EndpointDesired, wanted: DeploymentDesired) -> Document:
    fit = machine_of(desired.spec.model_copy(update={"resources": _resources(desired, wanted)}))
    return {"instanceType": fit.machine.name, "scaleSettings": {"scaleType": "Default"}}


def _on_kubernetes(desired: EndpointDesired, wanted: DeploymentDesired) -> Document:
    """A share of a node, and the cluster's own scaling, which Azure Monitor's does not reach."""
    own = _resources(desired, wanted)
    asked = {
        "cpu": str(own.cpu) if own.cpu else "",
        "memory": str(own.memory) if own.memory else "",
        "gpu": str(own.accelerator.count) if own.accelerator else "",
    }
    requests = {name: value for name, value in asked.items() if value}
    scale: Document = {"scaleType": "Default"}
    if desired.spec.scale.max > desired.spec.scale.min:
        scale = {
            "scaleType": "TargetUtilization",
            "minInstances": max(1, desired.spec.scale.min),
            "maxInstances": desired.spec.scale.max,
            "targetUtilizationPercentage": _UTILIZATION,
        }
    limits = {"containerResourceRequests": requests, "containerResourceLimits": requests}
    return {"scaleSettings": scale, **({"containerResourceRequirements": limits} if requests else {})}


def _variables(wanted: DeploymentDesired, environment: Environment) -> dict[str, str]:
    """The server's settings, which of the endpoint's identities it is, and where its captures are written."""
    limits = MANIFEST_VARIABLES["endpoint"]
    settings = {**wanted.server, "model": MOUNT, "port": PORT}
    told = manifest_variables({"serving": settings}, length=limits.length, count=limits.most)
    told |= identity_variables(environment, "server")
    if environment.ca_bundle:
        told |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), environment.ca_bundle)
    return told


def _probe() -> Document:
    """Patient with the start: Azure ends a server that fails so many probes in a row."""
    return {
        "initialDelay": f"PT{PERIOD}S",
        "period": f"PT{PERIOD}S",
        "timeout": f"PT{ANSWER_WITHIN}S",
        "successThreshold": 1,
        "failureThreshold": START_TIMEOUT // PERIOD,
    }


def _access(*, closed: bool) -> str:
    return "Disabled" if closed else "Enabled"
