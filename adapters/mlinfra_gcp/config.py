"""This platform's part of a spec: what is rationed, what an override may change, what a request must look like.

Requests are checked against `schema.json`, the operations used, extracted from google-cloud-aiplatform by
`tools/schemas/gcp.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from mlinfra.catalog.gcp.permissions import permissions, policy
from mlinfra.contract.adapter import Rate
from mlinfra.contract.overriding import OWN_VARIABLES, Rules
from mlinfra.contract.schema import problems
from mlinfra.errors import KitFault, Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.spec import Spec

__all__ = [
    "QUOTAS",
    "check_overrides",
    "check_request",
    "overridden",
    "permissions",
    "policy",
]

JOBS, MODELS, ENDPOINTS, PREDICTION = "JobService", "ModelService", "EndpointService", "PredictionService"
OPERATIONS, LOGS, MONITORING, STORE = "Operations", "logging", "monitoring", "store"
HOST = "host"  # in a body: the address of a dedicated endpoint, which is no part of the message
UNTYPED = {LOGS, MONITORING, STORE}  # spoken in JSON; their requests are the adapter's own and take no override

SUBMIT, CRUD = "aiplatform:submit", "aiplatform:crud"
READ_LOGS, READ_METRICS = "logging:read", "monitoring:read"

# Vertex AI's quotas a project and region: 60 submissions of jobs and long-running operations, 600 other requests a
# minute. Cloud Logging's a project: 60 readings of entries a minute; Cloud Monitoring's are in the thousands.
QUOTAS: Mapping[str, Rate] = {
    SUBMIT: Rate(per_second=1.0, burst=5),
    CRUD: Rate(per_second=10.0, burst=20),
    READ_LOGS: Rate(per_second=1.0, burst=10),
    READ_METRICS: Rate(per_second=10.0, burst=20),
}

_POOLS = "customJob.jobSpec.workerPoolSpecs.*"
# What the kit sets itself, by operation: dotted paths that no override may touch. Of a container's variables those
# that the kit sent must stay; others may be appended.
OWNED: Mapping[str, tuple[str, ...]] = {
    "CreateCustomJob": (
        "parent",
        "customJob.displayName",
        "customJob.labels",
        "customJob.jobSpec.baseOutputDirectory",
        f"{_POOLS}.replicaCount",
        f"{_POOLS}.containerSpec.command",
        f"{_POOLS}.containerSpec.args",
        f"{_POOLS}.pythonPackageSpec",
    ),
    "UploadModel": (
        "parent",
        "parentModel",
        "modelId",
        "model.name",
        "model.displayName",
        "model.artifactUri",
        "model.labels",
        "model.versionAliases",
        "model.versionDescription",
        "model.metadata",
    ),
    "CreateEndpoint": ("parent", "endpointId", "endpoint.displayName", "endpoint.labels", "endpoint.trafficSplit"),
    "DeployModel": (
        "endpoint",
        "trafficSplit",
        "deployedModel.id",
        "deployedModel.model",
        "deployedModel.displayName",
    ),
}
_SERVICES = {
    "CreateCustomJob": JOBS,
    "UploadModel": MODELS,
    "CreateEndpoint": ENDPOINTS,
    "DeployModel": ENDPOINTS,
}

# What protects a production stage: it may be switched on by an override, never off, and no other may take its place.
_PROTECTIONS: Mapping[str, tuple[str, ...]] = {
    "CreateCustomJob": (
        "customJob.encryptionSpec",
        "customJob.jobSpec.serviceAccount",
        "customJob.jobSpec.network",
        "customJob.jobSpec.pscInterfaceConfig",
    ),
    "UploadModel": ("model.encryptionSpec", "serviceAccount"),
    "CreateEndpoint": (
        "endpoint.encryptionSpec",
        "endpoint.network",
        "endpoint.enablePrivateServiceConnect",
        "endpoint.privateServiceConnectConfig",
    ),
    "DeployModel": ("deployedModel.serviceAccount", "deployedModel.privateEndpoints"),
}
# What opens a production stage: an override may switch it off, never on.
_OPENINGS: Mapping[str, tuple[str, ...]] = {
    "CreateCustomJob": ("customJob.jobSpec.enableWebAccess", "customJob.jobSpec.enableDashboardAccess"),
    "DeployModel": ("deployedModel.disableContainerLogging",),
}


def check_overrides(overrides: Mapping[str, Any], environment: Environment | None) -> None:
    """Refuse unknown operations and members, what the kit owns, and what weakens a production stage.

    Raises:
        SpecError: holds every problem, each with the nearest valid name.
    """
    _RULES.check(overrides, environment)


def overridden(operation: str, body: Document, spec: Spec, environment: Environment) -> Document:
    """The body of a request with the user's overrides, checked as a whole.

    Raises:
        SpecError: holds every member that is wrong, that the kit sets itself, or that weakens a production stage.
    """
    merged = _RULES.overridden(operation, body, spec.overrides.get("gcp", {}).get(operation, {}), environment)
    lost = list(_lost_variables(body, merged, f"overrides.gcp.{operation}"))
    if lost:
        raise SpecError(f"the overrides of {operation}", problems=lost)
    return merged


def check_request(request: Request) -> None:
    """Validate a request offline.

    Raises:
        SpecError: holds every member that is wrong.
        KitFault: the adapter sends what `schema.json` does not hold.
    """
    if request.service in UNTYPED:
        return
    body = {name: value for name, value in request.body.items() if name != HOST}
    wrong = list(_problems(request.service, request.operation, body))
    if wrong:
        raise SpecError(f"{request.operation} does not take this body", problems=wrong)


def _body(operation: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return _operation(_SERVICES[operation], operation), _schema()


def _lost_variables(body: Any, merged: Any, where: str) -> Iterator[Problem]:
    """The kit's own variables that a patch took away or changed: a job or a server would not know what to do."""
    if isinstance(body, dict):
        for name, value in body.items():
            other = merged.get(name) if isinstance(merged, dict) else None
            if name == "env" and isinstance(value, list):
                kept = [each for each in value if each["name"].startswith(OWN_VARIABLES)]
                if not all(each in (other or []) for each in kept):
                    todo = "append by the index after the last one, or write it under `env` of the spec"
                    yield Problem("takes the kit's own variables away", path=f"{where}.{name}", todo=todo)
            else:
                yield from _lost_variables(value, other, f"{where}.{name}")
    elif isinstance(body, list):
        for index, item in enumerate(body):
            other = merged[index] if isinstance(merged, list) and index < len(merged) else None
            yield from _lost_variables(item, other, f"{where}.{index}")


def _problems(service: str, operation: str, body: Mapping[str, Any]) -> Iterator[Problem]:
    yield from problems(_operation(service, operation), body, operation, _schema())


def _operation(service: str, operation: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = _schema()["services"].get(service, {}).get(operation)
    if found is None:
        raise KitFault(f"schema.json does not hold {service}.{operation}")
    return found


@cache
def _schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath("schema.json").read_text())
    return document


_RULES = Rules(
    platform="gcp",
    owned=OWNED,
    body=_body,
    problems=lambda operation, body: _problems(_SERVICES[operation], operation, body),
    protections=_PROTECTIONS,
    openings=_OPENINGS,
    variables=frozenset({"env"}),
)
