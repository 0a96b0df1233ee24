"""Calls of an endpoint that change nothing: predictions, figures, and how people make them themselves."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import Snippets
from mlinfra.contract.requests import Request
from mlinfra_azure.config import MONITOR, READ_METRICS, SCORING
from mlinfra_azure.places import resource

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

PERIOD = 60  # seconds; the finest grain of the metrics (Azure Monitor, supported metrics of onlineEndpoints)
COUNTS, LATENCIES = "counts", "latencies"
REQUESTS, P50, P99 = "RequestsPerMinute", "RequestLatency_P50", "RequestLatency_P99"
KEY, TOKEN, ENTRA = "Key", "AMLToken", "AADToken"  # how callers show who they are (EndpointAuthMode)
_LONGEST_LOOK = timedelta(days=1)  # of one question; a longer look back begins later
_MOST_SERIES = 100  # of one answer; the service's own default is 10
_RESOURCE = "https://ml.azure.com"


def health(
    endpoint: EndpointObservation, deployment: str, since: datetime, environment: Environment
) -> tuple[Request, ...]:
    """One deployment's answers by their statuses, the server's own among them, and its latencies, minute by minute."""
    own = f"deployment eq '{deployment}'"
    questions = {
        COUNTS: {
            "metricnames": REQUESTS,
            "filter": f"{own} and statusCode eq '*' and statusCodeClass eq '*' and modelStatusCode eq '*'",
        },
        LATENCIES: {"metricnames": f"{P50},{P99}", "filter": own},
    }
    return tuple(_metrics(step, asked, endpoint, since, environment) for step, asked in questions.items())


def invoke(endpoint: EndpointObservation, deployment: str | None, body: bytes, content_type: str) -> Request:
    """One prediction request, at one deployment where named."""
    question: Document = {
        "url": endpoint.url,
        "endpoint": endpoint.physical_name,
        "authMode": auth_mode(endpoint),
        "contentType": content_type,
        "body": base64.b64encode(body).decode(),
        **({"deployment": deployment} if deployment else {}),
    }
    return Request(step="invoke", service=SCORING, operation="Score", body=question, effect=False)


def auth_mode(endpoint: EndpointObservation) -> str:
    """How an endpoint's callers show who they are."""
    told = (endpoint.native.get("endpoint") or {}).get("properties") or {}
    return str(told.get("authMode") or ENTRA)


def snippets(endpoint: EndpointObservation, example: Document, environment: Environment) -> Snippets:
    """Calls with a token of whoever is logged in, or with the endpoint's key."""
    place = (
        f"--name {endpoint.physical_name} --subscription {environment.account} "
        f"--resource-group {getattr(environment, 'resource_group', '')} "
        f"--workspace-name {getattr(environment, 'workspace', '')}"
    )
    secret = f"az account get-access-token --resource {_RESOURCE} --query accessToken --output tsv"
    if auth_mode(endpoint) != ENTRA:
        member = "primaryKey" if auth_mode(endpoint) == KEY else "accessToken"
        secret = f"az ml online-endpoint get-credentials {place} --query {member} --output tsv"
    return Snippets(
        curl=" \\\n  ".join(
            (
                f"curl -s -X POST {endpoint.url}",
                f'-H "Authorization: Bearer $({secret})"',
                "-H 'Content-Type: application/json'",
                f"-d {_quoted(json.dumps(example))}",
            )
        ),
        python="\n".join((*_secret_in_python(endpoint, environment), *_call_in_python(endpoint, example))),
    )


def _secret_in_python(endpoint: EndpointObservation, environment: Environment) -> tuple[str, ...]:
    own_login = "disable_instance_discovery=True" if environment.emulated else ""  # one that Microsoft does not know
    credential = f"DefaultAzureCredential({own_login})"
    if auth_mode(endpoint) == ENTRA:
        return (
            "import requests",
            "from azure.identity import DefaultAzureCredential",
            f"secret = {credential}.get_token('{_RESOURCE}/.default').token",
        )
    member = "primary_key" if auth_mode(endpoint) == KEY else "access_token"
    place = (environment.account, getattr(environment, "resource_group", ""), getattr(environment, "workspace", ""))
    return (
        "import requests",
        "from azure.ai.ml import MLClient",
        "from azure.identity import DefaultAzureCredential",
        f"client = MLClient({credential}, {', '.join(map(repr, place))})",
        f"secret = client.online_endpoints.get_keys({endpoint.physical_name!r}).{member}",
    )


def _call_in_python(endpoint: EndpointObservation, example: Document) -> tuple[str, ...]:
    return (
        f"reply = requests.post({endpoint.url!r}, headers={{'Authorization': f'Bearer {{secret}}'}},",
        f"                      json={example!r}, timeout=60)",
        "print(reply.json())",
    )


def _metrics(
    step: str, asked: dict[str, str], endpoint: EndpointObservation, since: datetime, environment: Environment
) -> Request:
    """Whole minutes, from the one in which `since` lies."""
    start = since.replace(second=0, microsecond=0)
    body: Document = {
        "resourceUri": resource(environment, "onlineEndpoints", endpoint.physical_name).removeprefix("/"),
        "timespan": f"{_text(start)}/{_text(start + _LONGEST_LOOK)}",
        "interval": f"PT{PERIOD // 60}M",
        "aggregation": "Average",
        "top": _MOST_SERIES,
        **asked,
    }
    return Request(step=step, service=MONITOR, operation="Metrics_List", body=body, effect=False, quota=READ_METRICS)


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _quoted(text: str) -> str:
    """For a shell, whatever the text holds."""
    return "'" + text.replace("'", "'\\''") + "'"
