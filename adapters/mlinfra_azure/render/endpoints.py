"""Endpoints as Azure ML takes them: an online endpoint, and a deployment for each version behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra_azure.config import MONITOR
from mlinfra_azure.places import console
from mlinfra_azure.render import endpoint_calls as calls
from mlinfra_azure.render import endpoint_logs
from mlinfra_azure.render.endpoint_choices import choices
from mlinfra_azure.render.endpoint_effects import read
from mlinfra_azure.render.endpoint_names import physical_name
from mlinfra_azure.render.endpoint_state import DEPLOYMENTS, ENDPOINT, SETTINGS_OF
from mlinfra_azure.render.endpoint_steps import Procedure

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointDesired, EndpointObservation, Snippets
    from mlinfra.contract.requests import Document, Request
    from mlinfra.contract.steps import Step
    from mlinfra.environment import Environment

__all__ = [
    "METRIC_DELAY",
    "METRIC_PERIOD",
    "choices",
    "console_url",
    "health",
    "invoke",
    "list_endpoints",
    "logs",
    "next_step",
    "observe",
    "physical_name",
    "snippets",
]

METRIC_PERIOD = float(calls.PERIOD)
METRIC_DELAY = 120.0  # platform metrics are there "in under a minute" (Azure Monitor, data ingestion time); and another


def observe(physical_name: str, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  the workspace's only
    """The endpoint, its deployments, and the settings that scale them, which may outlive both."""
    names: Document = {"endpointName": physical_name}
    return (
        read(ENDPOINT, "OnlineEndpoints_Get", names),
        read(DEPLOYMENTS, "OnlineDeployments_List", names),
        read(f"{SETTINGS_OF}{physical_name}", "AutoscaleSettings_ListByResourceGroup", {}, service=MONITOR),
    )


def next_step(desired: EndpointDesired, observed: EndpointObservation | None, environment: Environment) -> Step:
    """One step: `endpoint_steps` tells the order."""
    return Procedure(desired, observed, environment).step()


def list_endpoints(environment: Environment, token: str | None) -> Request:  # noqa: ARG001  the workspace's only
    """A page of the workspace's endpoints; their names tell whose they are."""
    return read("endpoints", "OnlineEndpoints_List", {"skip": token} if token else {})


def health(
    endpoint: EndpointObservation, deployment: str, since: datetime, environment: Environment
) -> tuple[Request, ...]:
    """Two questions to Azure Monitor."""
    return calls.health(endpoint, deployment, since, environment)


def invoke(
    endpoint: EndpointObservation,
    deployment: str | None,
    body: bytes,
    content_type: str,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Request:
    """A request to the scoring address."""
    return calls.invoke(endpoint, deployment, body, content_type)


def logs(
    endpoint: EndpointObservation,
    deployment: str | None,
    environment: Environment,  # noqa: ARG001  the contract's signature
    token: str | None,
) -> Request:
    """The next lines of the servers."""
    names = [deployment] if deployment else [each.name for each in endpoint.deployments]
    return endpoint_logs.read(endpoint.physical_name, names, token)


def snippets(endpoint: EndpointObservation, example: Document, environment: Environment) -> Snippets:
    """An authorised call in curl and Python."""
    return calls.snippets(endpoint, example, environment)


def console_url(endpoint: EndpointObservation, environment: Environment) -> str:
    """The endpoint's page in the studio."""
    return console(environment, f"endpoints/realtime/{endpoint.physical_name}/detail")
