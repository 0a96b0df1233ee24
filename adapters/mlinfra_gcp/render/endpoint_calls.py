"""Calls of an endpoint that change nothing: predictions, figures, logs, and how people make them themselves."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.contract.endpoints import Snippets
from mlinfra.contract.requests import Request
from mlinfra_gcp import logs as entries
from mlinfra_gcp.config import HOST, MONITORING, PREDICTION, READ_METRICS
from mlinfra_gcp.places import own_id
from mlinfra_gcp.rest import ADDRESSES

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

PERIOD = 60  # seconds; online prediction's metrics are sampled once a minute (Google's list of metrics, aiplatform)
RESPONSES, P50, P99 = "responses", "p50", "p99"
_METRICS = "aiplatform.googleapis.com/prediction/online"
_LONGEST_LOOK = timedelta(days=1)  # of one question; a longer look back begins later
_VERTEX = "aiplatform"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def health(endpoint_id: str, deployed_model: str, since: datetime, environment: Environment) -> tuple[Request, ...]:
    """The answers of one deployed model by their codes, and its latencies, minute by minute."""
    chosen = _chosen(endpoint_id, deployed_model)
    by_code = {"crossSeriesReducer": "REDUCE_SUM", "groupByFields": ["metric.labels.response_code"]}
    counts = _series(RESPONSES, f"{_METRICS}/response_count", chosen, {"perSeriesAligner": "ALIGN_DELTA", **by_code})
    total = f'{chosen} AND metric.labels.latency_type="total"'
    latencies = f"{_METRICS}/prediction_latencies"
    questions = (
        counts,
        _series(P50, latencies, total, {"perSeriesAligner": "ALIGN_PERCENTILE_50"}),
        _series(P99, latencies, total, {"perSeriesAligner": "ALIGN_PERCENTILE_99"}),
    )
    return tuple(_read(step, body, since, environment) for step, body in questions)


def invoke(endpoint: EndpointObservation, body: bytes, content_type: str) -> Request:
    """One prediction request: RawPredict, which passes any body on and gives any back."""
    host = address(endpoint.native.get("endpoint") or {})
    question: Document = {
        "endpoint": endpoint.native_id,
        "httpBody": {"contentType": content_type, "data": base64.b64encode(body).decode()},
        **({HOST: host} if host else {}),
    }
    return Request(step="invoke", service=PREDICTION, operation="RawPredict", body=question, effect=False)


def logs(
    endpoint: EndpointObservation, deployed_model: str | None, environment: Environment, token: str | None
) -> Request:
    """The next lines of all servers, or of one deployed model's."""
    chosen = entries.of(entries.ENDPOINT, endpoint_id=own_id(endpoint.native_id))
    if deployed_model:
        chosen += f' AND labels.deployed_model_id="{deployed_model}"'
    since = endpoint.created.isoformat().replace("+00:00", "Z") if endpoint.created else ""
    return entries.read(environment.account, chosen, token, since=since)


def snippets(endpoint: EndpointObservation, example: Document) -> Snippets:
    """Calls with a token of whoever is logged in: curl by gcloud, Python by google-auth."""
    return Snippets(
        curl=" \\\n  ".join(
            (
                f"curl -s -X POST {endpoint.url}",
                '-H "Authorization: Bearer $(gcloud auth print-access-token)"',
                "-H 'Content-Type: application/json'",
                f"-d {_quoted(json.dumps(example))}",
            )
        ),
        python="\n".join(
            (
                "import google.auth",
                "from google.auth.transport.requests import AuthorizedSession",
                f"credentials, _ = google.auth.default(scopes=[{_SCOPE!r}])",
                f"reply = AuthorizedSession(credentials).post({endpoint.url!r},",
                f"                                            json={example!r})",
                "print(reply.json())",
            )
        ),
    )


def url(endpoint: Document, environment: Environment) -> str:
    """Where predictions are asked for: at the endpoint's own address, if it has one."""
    shared = environment.endpoints.get(_VERTEX) or ADDRESSES[_VERTEX].format(region=environment.region)
    return f"{address(endpoint) or shared.rstrip('/')}/v1/{endpoint['name']}:rawPredict"


def address(endpoint: Document) -> str:
    """The address of a dedicated endpoint, empty where it answers at the region's."""
    name = str(endpoint.get("dedicatedEndpointDns") or "")
    return f"https://{name.removeprefix('https://').rstrip('/')}" if name else ""


def _series(step: str, metric: str, chosen: str, aggregation: Document) -> tuple[str, Document]:
    return step, {
        "filter": f'metric.type="{metric}" AND {chosen}',
        "aggregation": {"alignmentPeriod": f"{PERIOD}s", **aggregation},
    }


def _read(step: str, body: Document, since: datetime, environment: Environment) -> Request:
    """Aligned to whole minutes, from the one in which `since` lies: an aligned period ends with the interval."""
    start = since.replace(second=0, microsecond=0)
    question: Document = {
        "name": f"projects/{environment.account}",
        "interval": {"startTime": _text(start), "endTime": _text(start + _LONGEST_LOOK)},
        **body,
    }
    return Request(
        step=step, service=MONITORING, operation="ListTimeSeries", body=question, effect=False, quota=READ_METRICS
    )


def _chosen(endpoint_id: str, deployed_model: str) -> str:
    return (
        f'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{endpoint_id}"'
        f' AND metric.labels.deployed_model_id="{deployed_model}"'
    )


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _quoted(text: str) -> str:
    """For a shell, whatever the text holds."""
    return "'" + text.replace("'", "'\\''") + "'"
