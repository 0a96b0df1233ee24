"""Endpoints and deployments as the service tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints import rules, settings
from mlinfra.emulator.azure.names import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint, History

_BY = "Application"


def endpoint_document(endpoint: Endpoint, base: str, identity: Mapping[str, Any]) -> dict[str, Any]:
    """An OnlineEndpoint. `base` is the address below which scoring requests come in."""
    with endpoint.lock:
        asked = endpoint.document
        scoring = f"{base}/endpoints/{endpoint.name}"
        properties = {
            "description": None,
            "publicNetworkAccess": "Enabled",
            "compute": None,
            **asked["properties"],
            "properties": _properties(endpoint),
            "keys": None,
            "scoringUri": f"{scoring}{_scoring_path(endpoint)}",
            "swaggerUri": f"{scoring}/swagger.json",
            "provisioningState": endpoint.state,
            "traffic": endpoint.traffic.now(),
            "mirrorTraffic": endpoint.mirror.now(),
        }
        return {**_frame(endpoint.id, asked, endpoint.history), "identity": identity, "properties": properties}


def deployment_document(deployment: Deployment) -> dict[str, Any]:
    """An OnlineDeployment."""
    with deployment.lock:
        asked = deployment.document
        given = asked["properties"]
        properties = {
            "description": None,
            "appInsightsEnabled": False,
            "egressPublicNetworkAccess": "Enabled",
            "codeConfiguration": None,
            "environmentVariables": {},
            "model": None,
            "modelMountPath": None,
            "dataCollector": None,
            **given,
            "properties": _properties(deployment),
            "instanceType": rules.instance_type(given),
            "scaleSettings": given.get("scaleSettings") or {"scaleType": "Default"},
            "requestSettings": settings.requests(given).as_document(),
            "livenessProbe": settings.probe(given, "livenessProbe").as_document(),
            "readinessProbe": settings.probe(given, "readinessProbe").as_document(),
            "provisioningState": deployment.state,
        }
        sku = {"name": "Default", **(asked.get("sku") or {}), "capacity": deployment.wanted}
        return {**_frame(deployment.id, asked, deployment.history), "sku": sku, "properties": properties}


def _frame(name: str, asked: dict[str, Any], history: History) -> dict[str, Any]:
    """What every tracked resource of ARM tells."""
    return {
        "id": name,
        "name": name.rpartition("/")[2],
        "type": kind_of(name),
        "location": asked["location"],
        "tags": asked.get("tags") or {},
        "kind": asked.get("kind") or "Managed",
        "systemData": {
            "createdAt": _time(history.created),
            "createdBy": history.created_by,
            "createdByType": _BY,
            "lastModifiedAt": _time(history.changed),
            "lastModifiedBy": history.changed_by,
            "lastModifiedByType": _BY,
        },
    }


def _properties(resource: Endpoint | Deployment) -> dict[str, str]:
    """The property dictionary, with what the service puts in."""
    given = dict(resource.document["properties"].get("properties") or {})
    return {**given, **({rules.OWN_PROPERTY: resource.asynchronous} if resource.asynchronous else {})}


def _scoring_path(endpoint: Endpoint) -> str:
    """The newest deployment's scoring route, which is the inference server's while there is none."""
    fleets = [each.fleet for each in endpoint.deployments.values() if each.fleet]
    return fleets[-1].container.routes.scoring if fleets else "/score"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
