"""Azure's replies as the portable records. Total over the services' words: one that is not known is UNKNOWN."""

from __future__ import annotations

from mlinfra_azure.observe.endpoints import capture, endpoint, endpoint_logs, endpoints, health, invocation
from mlinfra_azure.observe.jobs import job, jobs, logs, metrics
from mlinfra_azure.observe.models import models, version, versions

__all__ = [
    "capture",
    "endpoint",
    "endpoint_logs",
    "endpoints",
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
