"""The calls that change an endpoint. PUT and DELETE may be sent again, and most go on after their reply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.contract.requests import Lookup, Request
from mlinfra_azure.config import DELETE, ML, MONITOR, READ, WRITE
from mlinfra_azure.render.endpoint_choices import DEPLOY
from mlinfra_azure.render.endpoint_parts import PUT_ENDPOINT
from mlinfra_azure.render.endpoint_scaling import PUT_SETTING
from mlinfra_azure.render.jobs import followed

if TYPE_CHECKING:
    from mlinfra.contract.requests import Body, Document


def read(step: str, operation: str, body: dict[str, Body], *, service: str = ML) -> Request:
    """A question."""
    return Request(step=step, service=service, operation=operation, body=body, effect=False, quota=READ)


def create_endpoint(name: str, body: Document, every: float) -> Request:
    """A new endpoint."""
    lookup = Lookup(read("look-up", "OnlineEndpoints_Get", {"endpointName": name}))
    return _put("create", PUT_ENDPOINT, {"endpointName": name, "body": body}, every, lookup)


def update_endpoint(step: str, name: str, body: Document, etag: str, every: float) -> Request:
    """An endpoint as it should be, refused where somebody else changed it since it was looked at."""
    asked: Document = {"endpointName": name, "body": body, **({"ifMatch": etag} if etag else {})}
    return _put(step, PUT_ENDPOINT, asked, every)


def delete_endpoint(name: str, every: float) -> Request:
    """An endpoint taken away; one that is gone was the aim."""
    return _delete("delete", "OnlineEndpoints_Delete", {"endpointName": name}, every)


def create_deployment(endpoint: str, name: str, body: Document, every: float) -> Request:
    """A new deployment."""
    names = {"endpointName": endpoint, "deploymentName": name}
    lookup = Lookup(read("look-up", "OnlineDeployments_Get", dict(names)))
    return _put(f"deploy-{name}", DEPLOY, {**names, "body": body}, every, lookup)


def resize_deployment(endpoint: str, name: str, capacity: int, every: float) -> Request:
    """Another number of instances."""
    names = {"endpointName": endpoint, "deploymentName": name}
    body: Document = {"sku": {"name": "Default", "capacity": capacity}}
    return _put(f"resize-{name}", "OnlineDeployments_Update", {**names, "body": body}, every)


def delete_deployment(endpoint: str, name: str, every: float) -> Request:
    """A deployment taken away, which must have no traffic."""
    names: Document = {"endpointName": endpoint, "deploymentName": name}
    return _delete(f"delete-{name}", "OnlineDeployments_Delete", names, every)


def put_setting(name: str, body: Document) -> Request:
    """An autoscale setting, which holds at once."""
    asked: Document = {"autoscaleSettingName": name, "body": body}
    return Request(
        step=f"scale-{name}", service=MONITOR, operation=PUT_SETTING, body=asked, quota=WRITE, repeatable=True
    )


def delete_setting(name: str) -> Request:
    """An autoscale setting taken away."""
    return Request(
        step=f"unscale-{name}",
        service=MONITOR,
        operation="AutoscaleSettings_Delete",
        body={"autoscaleSettingName": name},
        quota=DELETE,
        repeatable=True,
    )


def _put(step: str, operation: str, body: Document, every: float, lookup: Lookup | None = None) -> Request:
    return Request(
        step=step,
        service=ML,
        operation=operation,
        body=body,
        quota=WRITE,
        lookup=lookup,
        repeatable=True,
        follow=replace(followed(step), every=every),
    )


def _delete(step: str, operation: str, body: Document, every: float) -> Request:
    return Request(
        step=step,
        service=ML,
        operation=operation,
        body=body,
        quota=DELETE,
        repeatable=True,
        follow=replace(followed(step), every=every),
    )
