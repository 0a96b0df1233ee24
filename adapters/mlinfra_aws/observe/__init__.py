"""AWS's replies as the portable records. Total over the services' words: one that is not known is UNKNOWN."""

from __future__ import annotations

from mlinfra_aws.observe.endpoints import (
    capture,
    deferred,
    endpoint,
    endpoint_logs,
    endpoints,
    failure,
    health,
    invocation,
)
from mlinfra_aws.observe.jobs import job, jobs, logs, metrics
from mlinfra_aws.observe.models import models, version, versions

__all__ = [
    "capture",
    "deferred",
    "endpoint",
    "endpoint_logs",
    "endpoints",
    "failure",
    "health",
    "invocation",
    "job",
    "jobs",
    "logs",
    "metrics",
    "models",
    "version",
    "versions",
]
