"""The calls that change an endpoint, each with how to find what it made and how to see its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.contract.requests import Lookup, Request
from mlinfra_gcp.config import CRUD, ENDPOINTS, MODELS, SUBMIT
from mlinfra_gcp.places import resource
from mlinfra_gcp.render.jobs import followed

if TYPE_CHECKING:
    from mlinfra.contract.requests import Body, Document
    from mlinfra.environment import Environment


def read(step: str, service: str, operation: str, body: dict[str, Body]) -> Request:
    """A question."""
    return Request(step=step, service=service, operation=operation, body=body, effect=False, quota=CRUD)


def create_endpoint(body: Document, name: str, every: float) -> Request:
    """CreateEndpoint with an id of our choosing: a second one is refused."""
    lookup = Lookup(read("look-up", ENDPOINTS, "GetEndpoint", {"name": name}))
    return _operation("create", ENDPOINTS, "CreateEndpoint", body, every, lookup=lookup)


def update_endpoint(step: str, endpoint: Document, mask: str) -> Request:
    """UpdateEndpoint, which answers at once."""
    body: Document = {"endpoint": endpoint, "updateMask": mask}
    return Request(step=step, service=ENDPOINTS, operation="UpdateEndpoint", body=body, quota=CRUD, repeatable=True)


def delete_endpoint(name: str, every: float) -> Request:
    """DeleteEndpoint; one that is gone was the aim."""
    return _operation("delete", ENDPOINTS, "DeleteEndpoint", {"name": name}, every)


def upload_model(body: Document, environment: Environment, every: float) -> Request:
    """UploadModel with an id of our choosing: a second one is refused."""
    name = resource(environment, "models", body["modelId"])
    lookup = Lookup(read("look-up", MODELS, "GetModel", {"name": name}))
    return _operation(f"upload-{body['modelId']}", MODELS, "UploadModel", body, every, lookup=lookup)


def delete_model(name: str, title: str, every: float) -> Request:
    """DeleteModel, with all its versions."""
    return _operation(f"delete-{title}", MODELS, "DeleteModel", {"name": name}, every)


def deploy_model(title: str, body: Document, every: float) -> Request:
    """DeployModel. What a lost reply made is looked for by display name; a second one would be undeployed."""
    deployed = body["deployedModel"]
    look = read("look-up", ENDPOINTS, "GetEndpoint", {"name": body["endpoint"]})
    lookup = Lookup(look, "deployedModels", where={"displayName": deployed["displayName"]})
    return _operation(f"deploy-{title}", ENDPOINTS, "DeployModel", body, every, lookup=lookup)


def undeploy_model(endpoint: str, title: str, deployed_id: str, split: dict[str, int], every: float) -> Request:
    """UndeployModel; a split, where given, takes its traffic away first."""
    body: Document = {
        "endpoint": endpoint,
        "deployedModelId": deployed_id,
        **({"trafficSplit": split} if split else {}),
    }
    return _operation(f"undeploy-{title}-{deployed_id}", ENDPOINTS, "UndeployModel", body, every)


def mutate_model(endpoint: str, title: str, deployed_model: Document, mask: str, every: float) -> Request:
    """MutateDeployedModel, as far as the service lets anything be changed."""
    body: Document = {"endpoint": endpoint, "deployedModel": deployed_model, "updateMask": mask}
    return _operation(f"resize-{title}", ENDPOINTS, "MutateDeployedModel", body, every)


def _operation(
    step: str, service: str, operation: str, body: Document, every: float, *, lookup: Lookup | None = None
) -> Request:
    """A long-running operation. `every` are the seconds between two looks at it."""
    return Request(
        step=step,
        service=service,
        operation=operation,
        body=body,
        quota=SUBMIT,
        lookup=lookup,
        repeatable=True,
        follow=replace(followed(step), every=every),
    )
