"""What the runner is told, apart from the container's paths that the adapter adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

VERSION = 1


def job_manifest(spec: JobSpec, environment: Environment, work_id: str, attempt: int, schemas: Document) -> Document:
    """The portable part of the runner's manifest. Secrets travel by name, never by value."""
    manifest: Document = {
        "version": VERSION,
        "run_id": f"{work_id}-{attempt}",
        "attempt": attempt,
        "environment": environment.name,
        "platform": environment.platform,
        "command": list(spec.command) if spec.command else None,
        "shell": spec.shell,
        "params": dict(spec.params),
        "metrics": {name: {"goal": metric.goal} for name, metric in spec.metrics.items()},
        "nodes": spec.resources.nodes,
        "user": {"retries": spec.retries.user},
    }
    tracking = environment.tracking
    optional: Document = {
        "env": dict(spec.env),
        "secrets": dict(spec.secrets),
        "schemas": schemas,
        "tracking": {"uri": tracking.uri, "experiment": tracking.experiment} if tracking.uri else {},
    }
    return {**manifest, **{key: value for key, value in optional.items() if value}}
