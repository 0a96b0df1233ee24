"""How an operation of Azure Resource Manager goes over the wire, by `schema.json`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from mlinfra_azure.config import call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_MEMBER = re.compile(r"\{(\w+)\}")
_PATHS = {"resourceUri"}  # which are resource ids, slashes and all


class Call(NamedTuple):
    """One HTTP request, without its service's address."""

    method: str
    path: str
    query: list[tuple[str, str]]
    document: Document | None = None
    if_match: str = ""


def call_of(service: str, operation: str, body: Mapping[str, Any], environment: Environment) -> Call:
    """The request for a body that `config.check_request` let pass."""
    about = call(service, operation)
    known = {
        "subscriptionId": environment.account,
        "resourceGroupName": getattr(environment, "resource_group", ""),
        "workspaceName": getattr(environment, "workspace", ""),
        "registryName": getattr(environment, "registry", ""),
        **body,
    }
    path = _MEMBER.sub(lambda found: _part(found[1], str(known[found[1]])), about["path"])
    query = [("api-version", about["apiVersion"])]
    for name in about["query"]:
        value = body.get(name.removeprefix("$"))
        if value is not None:
            query.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return Call(about["method"], path, query, body.get("body"), str(body.get("ifMatch", "")))


def _part(name: str, value: str) -> str:
    return quote(value.strip("/"), safe="/") if name in _PATHS else quote(value, safe="")
