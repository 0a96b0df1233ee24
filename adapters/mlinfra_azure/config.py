"""This platform's part of a spec: what is rationed, what an override may change, what a request must look like.

Requests are checked against `schema.json`, the calls used, extracted by `tools/schemas/azure.py` from the client that
azure-ai-ml carries. A request's body holds what the call's path and query take, beside `body` the document of Azure
Resource Manager, and `ifMatch` the etag that must still hold. Overrides are of that document.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from mlinfra.catalog.azure.permissions import permissions, policy
from mlinfra.contract.adapter import Rate
from mlinfra.contract.manifest import PREFIX
from mlinfra.contract.overriding import Rules
from mlinfra.contract.schema import problems
from mlinfra.errors import KitFault, SpecError
from mlinfra.spec.limits import MANIFEST_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.errors import Problem
    from mlinfra.spec import Spec

__all__ = [
    "QUOTAS",
    "check_overrides",
    "check_request",
    "overridden",
    "permissions",
    "policy",
]

ML, MONITOR = "ml", "monitor"  # Azure Resource Manager, by `schema.json`
HISTORY, OPERATIONS, SCORING, STORE = "history", "operations", "scoring", "store"  # the adapter's own requests

READ, WRITE, DELETE = "arm:read", "arm:write", "arm:delete"
READ_LOGS, READ_METRICS = "history:read", "monitor:read"

# Azure Resource Manager's buckets of a subscription and principal: 250 reads, 200 writes, 200 deletions at once, filled
# with 25, 10 and 10 a second (the vendor's guide on throttling). Azure Monitor: 12,000 queries an hour; run history
# tells no figure.
QUOTAS: Mapping[str, Rate] = {
    READ: Rate(per_second=25.0, burst=250),
    WRITE: Rate(per_second=10.0, burst=200),
    DELETE: Rate(per_second=10.0, burst=200),
    READ_LOGS: Rate(per_second=5.0, burst=20),
    READ_METRICS: Rate(per_second=3.0, burst=20),
}

_JOB, _SERVER = (MANIFEST_VARIABLES[kind].most for kind in ("job", "endpoint"))
# What the kit sets itself, by operation: dotted paths of the document that no override may touch.
OWNED: Mapping[str, tuple[str, ...]] = {
    "Jobs_CreateOrUpdate": (
        "properties.jobType",
        "properties.displayName",
        "properties.command",
        "properties.codeId",
        "properties.inputs",
        "properties.outputs",
        "properties.tags",
        "properties.properties",
        "properties.resources.instanceCount",
        *(f"properties.environmentVariables.{PREFIX}{number}" for number in range(_JOB)),
    ),
    "OnlineEndpoints_CreateOrUpdate": (
        "location",
        "tags",
        "properties.traffic",
        "properties.mirrorTraffic",
    ),
    "OnlineDeployments_CreateOrUpdate": (
        "location",
        "tags",
        "sku.capacity",
        "properties.model",
        *(f"properties.environmentVariables.{PREFIX}{number}" for number in range(_SERVER)),
    ),
    "AutoscaleSettings_CreateOrUpdate": (
        "location",
        "tags",
        "properties.name",
        "properties.targetResourceUri",
        "properties.targetResourceLocation",
    ),
}
_SERVICES = {"AutoscaleSettings_CreateOrUpdate": MONITOR}

# What protects a production stage: it may be switched on by an override, never off, and no other may take its place.
_PROTECTIONS: Mapping[str, tuple[str, ...]] = {
    "Jobs_CreateOrUpdate": ("properties.identity", "properties.computeId"),
    "OnlineEndpoints_CreateOrUpdate": ("identity", "properties.authMode", "properties.publicNetworkAccess"),
    "OnlineDeployments_CreateOrUpdate": ("properties.egressPublicNetworkAccess",),
}
# What opens a production stage: an override may switch it off, never on. A job's services are ways into its container.
_OPENINGS: Mapping[str, tuple[str, ...]] = {"Jobs_CreateOrUpdate": ("properties.services",)}


def check_overrides(overrides: Mapping[str, Any], environment: Environment | None) -> None:
    """Refuse unknown operations and members, what the kit owns, and what weakens a production stage.

    Raises:
        SpecError: holds every problem, each with the nearest valid name.
    """
    _RULES.check(overrides, environment)


def overridden(operation: str, body: Document, spec: Spec, environment: Environment) -> Document:
    """The document of a request with the user's overrides, checked as a whole.

    Raises:
        SpecError: holds every member that is wrong, that the kit sets itself, or that weakens a production stage.
    """
    return _RULES.overridden(operation, body, spec.overrides.get("azure", {}).get(operation, {}), environment)


def check_request(request: Request) -> None:
    """Validate a request offline.

    Raises:
        SpecError: holds every member that is wrong.
        KitFault: the adapter sends what `schema.json` does not hold.
    """
    if request.service in {ML, MONITOR}:
        wrong = list(problems(call(request.service, request.operation), request.body, request.operation, _schema()))
        if wrong:
            raise SpecError(f"{request.operation} does not take this body", problems=wrong)


def call(service: str, operation: str) -> Mapping[str, Any]:
    """An operation of Azure Resource Manager: `method`, `path`, `apiVersion`, `query`, and its request's schema."""
    found: Mapping[str, Any] | None = _schema()["services"].get(service, {}).get(operation)
    if found is None:
        raise KitFault(f"schema.json does not hold {service}.{operation}")
    return found


def _body_schema(operation: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return call(_SERVICES.get(operation, ML), operation)["properties"]["body"], _schema()


def _problems(operation: str, body: Mapping[str, Any]) -> Iterator[Problem]:
    schema, whole = _body_schema(operation)
    yield from problems(schema, body, operation, whole)


@cache
def _schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath("schema.json").read_text())
    return document


_RULES = Rules(
    platform="azure",
    owned=OWNED,
    body=_body_schema,
    problems=_problems,
    protections=_PROTECTIONS,
    openings=_OPENINGS,
    variables=frozenset({"environmentVariables"}),
)
