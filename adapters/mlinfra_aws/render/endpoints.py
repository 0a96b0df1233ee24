"""Endpoints as SageMaker takes them: models, a configuration with a production variant for each, and an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.requests import Ref, Request
from mlinfra_aws.config import READ, SAGEMAKER
from mlinfra_aws.places import console
from mlinfra_aws.render import endpoint_alarms as alarms
from mlinfra_aws.render import endpoint_calls as calls
from mlinfra_aws.render import endpoint_scaling as scaling
from mlinfra_aws.render.endpoint_choices import choices
from mlinfra_aws.render.endpoint_names import mark, physical_name
from mlinfra_aws.render.endpoint_steps import Procedure

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointDesired, EndpointObservation, Snippets
    from mlinfra.contract.requests import Body, Document
    from mlinfra.contract.steps import Step
    from mlinfra.environment import Environment

__all__ = [
    "METRIC_DELAY",
    "METRIC_PERIOD",
    "choices",
    "console_url",
    "health",
    "invoke",
    "invoke_later",
    "list_endpoints",
    "logs",
    "next_step",
    "observe",
    "physical_name",
    "snippets",
]

METRIC_PERIOD = float(calls.PERIOD)
METRIC_DELAY = 60.0  # CloudWatch shows a minute complete within the next one
_PAGE = 100


def observe(physical_name: str, environment: Environment) -> tuple[Request, ...]:  # noqa: ARG001  the account's only
    """The endpoint with its configuration, the tags of both, its targets, and all that was made for it."""
    search: Document = {"NameContains": mark(physical_name), "MaxResults": _PAGE}
    return (
        _read("endpoint", "DescribeEndpoint", {"EndpointName": physical_name}),
        _read("tags", "ListTags", {"ResourceArn": Ref("endpoint", "EndpointArn")}),
        _read("config", "DescribeEndpointConfig", {"EndpointConfigName": Ref("endpoint", "EndpointConfigName")}),
        _read("serves", "ListTags", {"ResourceArn": Ref("config", "EndpointConfigArn")}),
        *scaling.reads(physical_name),
        _read("configs", "ListEndpointConfigs", search),
        _read("models", "ListModels", search),
        alarms.reads(physical_name),
    )


def next_step(desired: EndpointDesired, observed: EndpointObservation | None, environment: Environment) -> Step:
    """One step: `endpoint_steps` tells the order."""
    return Procedure(desired, observed, environment).step()


def list_endpoints(environment: Environment, token: str | None) -> Request:
    """A page of the endpoints whose names carry the environment's digits."""
    body: Document = {"NameContains": f"-{environment.suffix}", "MaxResults": _PAGE}
    return _read("endpoints", "ListEndpoints", body | ({"NextToken": token} if token else {}))


def health(
    endpoint: EndpointObservation,
    deployment: str,
    since: datetime,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> tuple[Request, ...]:
    """One GetMetricData."""
    return (calls.health(endpoint.physical_name, _variant(endpoint, deployment), since),)


def invoke(
    endpoint: EndpointObservation,
    deployment: str | None,
    body: bytes,
    content_type: str,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Request:
    """InvokeEndpoint, at one variant where a deployment is named."""
    variant = _variant(endpoint, deployment) if deployment else None
    return calls.invoke(endpoint.physical_name, variant, body, content_type)


def invoke_later(
    endpoint: EndpointObservation,
    source: str,
    content_type: str,
    environment: Environment,  # noqa: ARG001  the contract's signature
    *,
    time_limit: float,
) -> Request:
    """InvokeEndpointAsync, for a body that lies in the store."""
    return calls.invoke_later(endpoint.physical_name, source, content_type, time_limit)


def logs(
    endpoint: EndpointObservation,
    deployment: str | None,
    environment: Environment,  # noqa: ARG001  the contract's signature
    token: str | None,
) -> Request:
    """The next lines of the endpoint's log group."""
    return calls.logs(endpoint.physical_name, _variant(endpoint, deployment) if deployment else None, token)


def snippets(endpoint: EndpointObservation, example: Document, environment: Environment) -> Snippets:
    """A signed call in curl and Python."""
    return calls.snippets(endpoint, example, environment)


def console_url(endpoint: EndpointObservation, environment: Environment) -> str:
    """The endpoint's page in the console."""
    return console(environment, f"endpoints/{endpoint.physical_name}")


def _variant(endpoint: EndpointObservation, deployment: str) -> str:
    """The variant that serves a deployment; one that is not there any more bore its name."""
    found = endpoint.deployment(deployment)
    return found.native_id if found else deployment


def _read(step: str, operation: str, body: dict[str, Body]) -> Request:
    return Request(step=step, service=SAGEMAKER, operation=operation, body=body, effect=False, quota=READ)
