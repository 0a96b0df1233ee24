"""The host's replies about jobs and their runs."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import ATTEMPT_TAG, ID_TAG, Artefact, JobObservation, JobPage, LogLine, LogPage
from mlinfra.contract.runs import MetricPoint
from mlinfra.contract.states import JobState
from mlinfra_local.config import store_uri
from mlinfra_local.observe.words import moment, time_of, word_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

_BUCKET = "artefacts"


def job(reply: Mapping[str, Any], environment: Environment) -> JobObservation:
    """DescribeJob, CreateJob, or an item of ListJobs."""
    tags = dict(reply["tags"])
    work_id, attempt = tags.pop(ID_TAG, ""), int(tags.pop(ATTEMPT_TAG, 0))
    result = reply.get("result") or {}
    base = f"jobs/{work_id}/{attempt}"
    return JobObservation(
        native_id=reply["name"],
        name=reply["name"],
        state=word_of(JobState, reply["state"], JobState.UNKNOWN),
        detail=reply["detail"] or reply["state"],
        id=work_id,
        attempt=attempt,
        reason=reply["reason"],
        exit_code=reply["exit_code"],
        created=time_of(reply["created"]),
        started=time_of(reply["started"]),
        ended=time_of(reply["ended"]),
        metrics={name: _number(value) for name, value in result.get("metrics", {}).items()},
        outputs={
            name: Artefact(
                store_uri(environment, _BUCKET, f"{base}/{name}"), content["digest"], content["size"], is_folder=True
            )
            for name, content in result.get("outputs", {}).items()
        },
        result=Artefact(store_uri(environment, _BUCKET, f"{base}/.mlinfra"), is_folder=True),
        tags=tags,
        machine=reply["interpreter"]["path"],
        native=dict(reply),
    )


def jobs(reply: Mapping[str, Any], environment: Environment) -> JobPage:
    """ListJobs, without what other tools run on this host."""
    found = (job(each, environment) for each in reply["jobs"])
    return JobPage(tuple(each for each in found if each.id), reply["next_token"])


def logs(reply: Mapping[str, Any], environment: Environment) -> LogPage:  # noqa: ARG001  the contract's signature
    """GetJobLogs."""
    return LogPage(tuple(_line(line) for line in reply["lines"]), reply["token"])


def metrics(replies: Mapping[str, Document | None], environment: Environment) -> tuple[MetricPoint, ...]:  # noqa: ARG001  the contract's signature
    """GetJobMetrics."""
    reply = replies["metrics"] or {"metrics": []}
    return tuple(
        MetricPoint(point["name"], float(point["value"]), point["step"], moment(point["time"]))
        for point in reply["metrics"]
    )


def _line(line: Mapping[str, Any]) -> LogLine:
    return LogLine(datetime.fromisoformat(line["time"]), line["source"], line["text"])


def _number(value: float | None) -> float:
    """JSON has no word for what is not finite; the runner writes null."""
    return math.nan if value is None else float(value)
