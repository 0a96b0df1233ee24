"""A job's lines on their way to Cloud Logging: what its containers write, and what the service says of it.

Monitored resource `ml_job`; a container's lines are in a log of its replica's name, the service's in one of the job's.
A line that is a JSON object becomes the entry's payload, with its `severity`; others become its `message`. By Vertex
AI's documentation "View logs for custom training" and the form of the entries that it writes.
"""

from __future__ import annotations

import json
from typing import Any

from mlinfra.emulator.gcp.logging.filters import SEVERITIES

_INFO = "INFO"
SERVICE_TASK = "service"  # the task of the service's own lines


def payload(text: str) -> dict[str, Any]:
    """Payload and severity of one line."""
    document = _object(text)
    if document is None:
        return {"severity": _INFO, "jsonPayload": {"message": text, "levelname": _INFO}}
    severity = str(document.pop("severity", _INFO)).upper()
    return {"severity": severity if severity in SEVERITIES else _INFO, "jsonPayload": document}


def resource(project: str, job: str, task: str) -> dict[str, Any]:
    """The monitored resource."""
    return {"type": "ml_job", "labels": {"project_id": project, "job_id": job, "task_name": task}}


def labels(job: str, task: str) -> dict[str, str]:
    """The entries' own labels."""
    return {
        "ml.googleapis.com/job_id": job,
        "ml.googleapis.com/job_id/log_area": "root",
        "ml.googleapis.com/tag_name": task,
        "ml.googleapis.com/trial_id": "",
        "ml.googleapis.com/endpoint": "",
    }


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
