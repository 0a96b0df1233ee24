"""A job's lines on their way to Cloud Logging: what its containers write, and what the service says of it.

Monitored resource `ml_job`; a container's lines are in a log of its replica's name, the service's in one of the job's.
A line that is a JSON object becomes the entry's payload, with its `severity`; others become its `message`. By Vertex
AI's documentation "View logs for custom training" and the form of the entries that it writes.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.logging.filters import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

_PAGE = 1000
_NODE = "node-"  # how the host names the source of a node's lines
_INFO = "INFO"
SERVICE_TASK = "service"  # the task of the service's own lines


class LogPump:
    """Carries the lines of one attempt from the host to the log.

    `read` is the host's GetJobLogs from a token on, `put` writes entries of the replica of a rank, `shift` is how far
    the emulator's time is ahead of the host's.
    """

    def __init__(
        self,
        read: Callable[[str | None], Mapping[str, Any]],
        put: Callable[[int, list[dict[str, Any]]], None],
        shift: Callable[[], timedelta],
    ) -> None:
        self._read = read
        self._put = put
        self._shift = shift
        self._token: str | None = None
        self._last: dict[int, datetime] = {}

    def pump(self) -> None:
        """Carry what is new. Returns when there is no more."""
        while True:
            page = self._read(self._token)
            self._token = page["token"]
            self._carry(page["lines"])
            if len(page["lines"]) < _PAGE:
                return

    def _carry(self, lines: Sequence[Mapping[str, str]]) -> None:
        replicas: dict[int, list[dict[str, Any]]] = {}
        shift = self._shift()
        for line in lines:
            rank = line["source"].removeprefix(_NODE)
            if rank == line["source"]:
                continue  # the host's own words are not the container's
            at = self._moment(int(rank), datetime.fromisoformat(line["time"]) + shift)
            replicas.setdefault(int(rank), []).append({"timestamp": at, **payload(line["text"])})
        for number, entries in replicas.items():
            self._put(number, entries)

    def _moment(self, rank: int, at: datetime) -> datetime:
        """The time of a line, never before the one above it: two clocks are read, one after the other."""
        self._last[rank] = max(at, self._last.get(rank, at))
        return self._last[rank]


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
