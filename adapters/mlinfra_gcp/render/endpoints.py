"""Endpoints as Vertex AI takes them: an endpoint, and a model made and deployed for each deployment behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra_gcp.config import ENDPOINTS, MODELS, OPERATIONS
from mlinfra_gcp.labels import ENVIRONMENT, selects
from mlinfra_gcp.places import console, own_id, parent
from mlinfra_gcp.render import endpoint_calls as calls
from mlinfra_gcp.render.endpoint_choices import choices
from mlinfra_gcp.render.endpoint_effects import read
from mlinfra_gcp.render.endpoint_names import BEHIND, endpoint_name, physical_name
from mlinfra_gcp.render.endpoint_steps import Procedure

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
METRIC_DELAY = (
    120.0  # "after sampling, data is not visible for up to 120 seconds" (Google's list of metrics, aiplatform)
)
_PAGE = 100
_MOST_OPERATIONS = 1000  # of an endpoint, that the service may still know


def observe(physical_name: str, environment: Environment) -> tuple[Request, ...]:
    """The operations on the endpoint, itself with its deployed models, and the models that were made for it.

    In this order, so that what an operation did is never looked at before it has ended.
    """
    name = endpoint_name(physical_name, environment)
    made: Document = {"parent": parent(environment), "filter": selects({BEHIND: physical_name}), "pageSize": _PAGE}
    return (
        read("operations", OPERATIONS, "ListOperations", {"name": name, "pageSize": _MOST_OPERATIONS}),
        read("endpoint", ENDPOINTS, "GetEndpoint", {"name": name}),
        read("models", MODELS, "ListModels", made),
    )


def next_step(desired: EndpointDesired, observed: EndpointObservation | None, environment: Environment) -> Step:
    """One step: `endpoint_steps` tells the order."""
    return Procedure(desired, observed, environment).step()


def list_endpoints(environment: Environment, token: str | None) -> Request:
    """A page of the endpoints that bear the environment's label."""
    marks = {ENVIRONMENT: environment.suffix}
    body: Document = {"parent": parent(environment), "filter": selects(marks), "pageSize": _PAGE}
    return read("endpoints", ENDPOINTS, "ListEndpoints", body | ({"pageToken": token} if token else {}))


def health(
    endpoint: EndpointObservation, deployment: str, since: datetime, environment: Environment
) -> tuple[Request, ...]:
    """Three questions to Cloud Monitoring."""
    return calls.health(own_id(endpoint.native_id), _deployed_model(endpoint, deployment), since, environment)


def invoke(
    endpoint: EndpointObservation,
    deployment: str | None,  # noqa: ARG001  a request names no deployed model: the split decides
    body: bytes,
    content_type: str,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Request:
    """RawPredict. Vertex AI chooses who answers, and its answer says who did."""
    return calls.invoke(endpoint, body, content_type)


def logs(endpoint: EndpointObservation, deployment: str | None, environment: Environment, token: str | None) -> Request:
    """The next lines of the endpoint's containers."""
    return calls.logs(endpoint, _deployed_model(endpoint, deployment) if deployment else None, environment, token)


def snippets(
    endpoint: EndpointObservation,
    example: Document,
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> Snippets:
    """An authorised call in curl and Python."""
    return calls.snippets(endpoint, example)


def console_url(endpoint: EndpointObservation, environment: Environment) -> str:
    """The endpoint's page in the console."""
    return console(environment, f"online-prediction/locations/{{region}}/endpoints/{own_id(endpoint.native_id)}")


def _deployed_model(endpoint: EndpointObservation, deployment: str) -> str:
    """The id of the deployed model; of one that is not there any more, nobody's."""
    found = endpoint.deployment(deployment)
    return found.native_id if found else deployment
