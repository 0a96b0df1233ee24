"""Calls of an endpoint that change nothing: predictions, figures, logs, and how people make them themselves."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mlinfra.catalog.aws.addresses import ENDPOINT_LOGS
from mlinfra.contract.endpoints import Snippets
from mlinfra.contract.requests import Request
from mlinfra_aws import logs as streams
from mlinfra_aws.config import CLOUDWATCH, READ, RUNTIME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

PERIOD = 60  # seconds; SageMaker publishes invocation metrics once a minute (API description, MetricsConfig)
MICROSECONDS = 1_000_000  # the unit of latencies, a second long
LATENCY = "ModelLatency"
SUMS = {
    "requests": "Invocations",
    "failed": "InvocationModelErrors",  # whatever was not answered with 2xx: time-outs and lost connections too
    "rejected": "Invocation4XXErrors",
    "errors": "Invocation5XXErrors",
}
_NAMESPACE = "AWS/SageMaker"
_LONGEST_ANSWER = 3600  # seconds, InvocationTimeoutSeconds
_SHORTEST_IN_QUEUE, _LONGEST_IN_QUEUE = 60, 21_600  # seconds, RequestTTLSeconds
_LATENCIES = {"p50": "p50", "p99": "p99"}
_WAYS = {  # of asking: the header that tells the type, boto3's method, and what to print of its answer
    False: ("Content-Type", "invoke_endpoint", "json.load(reply['Body'])"),
    True: ("X-Amzn-SageMaker-Content-Type", "invoke_endpoint_async", "reply['OutputLocation']"),
}
_LONGEST_LOOK = timedelta(days=1)  # of one question; a longer look back begins later


def health(physical_name: str, variant: str, since: datetime) -> Request:
    """All figures of one variant, minute by minute from the one in which `since` lies; one call."""
    start = since.replace(second=0, microsecond=0)
    dimensions = {"EndpointName": physical_name, "VariantName": variant}
    queries = [metric_query(step, metric, "Sum", dimensions) for step, metric in SUMS.items()]
    queries += [metric_query(step, LATENCY, stat, dimensions) for step, stat in _LATENCIES.items()]
    body: Document = {
        "MetricDataQueries": queries,
        "StartTime": start.isoformat(),
        "EndTime": (start + _LONGEST_LOOK).isoformat(),
        "ScanBy": "TimestampAscending",
    }
    return Request(step="health", service=CLOUDWATCH, operation="GetMetricData", body=body, effect=False, quota=READ)


def invoke(physical_name: str, variant: str | None, body: bytes, content_type: str) -> Request:
    """One prediction request."""
    question: Document = {
        "EndpointName": physical_name,
        "ContentType": content_type,
        "Body": base64.b64encode(body).decode(),
        **({"TargetVariant": variant} if variant else {}),
    }
    return Request(step="invoke", service=RUNTIME, operation="InvokeEndpoint", body=question, effect=False)


def invoke_later(physical_name: str, source: str, content_type: str, time_limit: float) -> Request:
    """A question for the queue. Its answer bears its name, so that one that is put twice is answered at one place."""
    seconds = int(time_limit)
    question: Document = {
        "EndpointName": physical_name,
        "ContentType": content_type,
        "InputLocation": source,
        "Filename": f"{source.rpartition('/')[2]}.out",
        "InvocationTimeoutSeconds": min(_LONGEST_ANSWER, max(1, seconds)),
        "RequestTTLSeconds": min(_LONGEST_IN_QUEUE, max(_SHORTEST_IN_QUEUE, seconds)),
    }
    return Request(step="invoke", service=RUNTIME, operation="InvokeEndpointAsync", body=question, effect=False)


def logs(physical_name: str, variant: str | None, token: str | None) -> Request:
    """The next lines of all servers, or of one variant's: a stream is `<variant>/<instance>`."""
    request = streams.read(f"{ENDPOINT_LOGS}/{physical_name}", f"{variant}/", token)
    if variant:
        return request
    return replace(request, body={key: value for key, value in request.body.items() if key != "logStreamNamePrefix"})


def snippets(endpoint: EndpointObservation, example: Document, environment: Environment) -> Snippets:
    """Signed calls with the credentials at hand: curl signs from 7.75 on, Python with boto3.

    An asynchronous endpoint tells where the answer will lie.
    """
    body = json.dumps(example)
    emulated = environment.endpoints.get(RUNTIME, "")
    address = f", endpoint_url={emulated!r}" if emulated else ""
    header, operation, answer = _WAYS[endpoint.asynchronous]
    return Snippets(
        curl=" \\\n  ".join(
            (
                f"curl -s {endpoint.url}",
                f"--aws-sigv4 aws:amz:{environment.region}:sagemaker",
                '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"',
                '${AWS_SESSION_TOKEN:+-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"}',
                f"-i -H '{header}: application/json'" if endpoint.asynchronous else f"-H '{header}: application/json'",
                f"-d {_quoted(body)}",
            )
        ),
        python="\n".join(
            (
                "import boto3, json",
                f"runtime = boto3.client({RUNTIME!r}, region_name={environment.region!r}{address})",
                f"reply = runtime.{operation}(EndpointName={endpoint.physical_name!r},",
                f"{' ' * (len(operation) + 17)}ContentType='application/json', Body=json.dumps({example!r}))",
                f"print({answer})",
            )
        ),
    )


def url(physical_name: str, environment: Environment, *, asynchronous: bool = False) -> str:
    """Where predictions are asked for."""
    own = f"https://runtime.sagemaker.{environment.region}.{_domain(environment.region)}"
    base = environment.endpoints.get(RUNTIME, own).rstrip("/")
    return f"{base}/endpoints/{physical_name}/{'async-invocations' if asynchronous else 'invocations'}"


def metric_query(step: str, metric: str, stat: str, dimensions: Mapping[str, str]) -> Document:
    """One of SageMaker's figures minute by minute, as GetMetricData and PutMetricAlarm take it."""
    return {
        "Id": step,
        "MetricStat": {
            "Metric": {
                "Namespace": _NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            },
            "Period": PERIOD,
            "Stat": stat,
        },
    }


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _quoted(text: str) -> str:
    """For a shell, whatever the text holds."""
    return "'" + text.replace("'", "'\\''") + "'"
