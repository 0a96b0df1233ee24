"""Every word of Vertex AI's about jobs has a state; a new one never ends anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types

from mlinfra.contract.states import Approval, JobState, VersionState
from mlinfra.environment import GcpEnvironment
from mlinfra_gcp.observe import job, metrics, version, versions
from mlinfra_gcp.observe.jobs import PIPELINE_STATES, STATES
from mlinfra_gcp.times import time_of

ENVIRONMENT = GcpEnvironment(name="gcp-test", region="europe-west4", account="risk-prod")
NAME = "projects/111122223333/locations/europe-west4"


def reply(state: str, code: int = 0, message: str = "", **fields: Any) -> dict[str, Any]:
    error = {"error": {"code": code, "message": message}} if code else {}
    return {"name": f"{NAME}/customJobs/42", "displayName": "x-1", "state": f"JOB_STATE_{state}", **error, **fields}


def test_every_word_for_a_job_and_a_pipeline_has_a_state():
    assert {state.name for state in types.JobState} == set(STATES)
    assert {state.name for state in types.PipelineState} == set(PIPELINE_STATES)


def test_a_pipelines_words_mean_what_a_jobs_do():
    for word, state in PIPELINE_STATES.items():
        assert STATES[word.replace("PIPELINE", "JOB")] is state


@pytest.mark.parametrize(
    ("state", "code", "message", "expected"),
    [
        ("RUNNING", 0, "", JobState.RUNNING),
        ("PARTIALLY_SUCCEEDED", 0, "", JobState.SUCCEEDED),
        ("EXPIRED", 0, "", JobState.TIMED_OUT),
        ("FAILED", 4, "The job exceeded its time limit", JobState.TIMED_OUT),
        ("CANCELLED", 1, "The CustomJob has exceeded the maximum running time", JobState.TIMED_OUT),
        ("CANCELLED", 1, "Cancelled by the user", JobState.STOPPED),
        ("FAILED", 3, "The replica workerpool0-0 exited with a non-zero status of 3.", JobState.FAILED),
        ("HIBERNATING", 0, "", JobState.UNKNOWN),
        ("UNSPECIFIED", 0, "", JobState.UNKNOWN),
    ],
)
def test_a_word_and_its_error_make_one_state(state: str, code: int, message: str, expected: JobState):
    assert job(reply(state, code, message), ENVIRONMENT).state is expected


@pytest.mark.parametrize(
    ("code", "message", "interrupted", "exit_code"),
    [
        (8, "Resources are insufficient in region: europe-west4.", True, None),
        (13, "Internal error occurred for the current attempt.", True, None),
        (14, "The replica workerpool0-0 was preempted.", True, None),
        (3, "The replica workerpool0-0 exited with a non-zero status of 3. To find out more …", False, 3),
        (5, "The image does not exist.", False, None),
        (13, "The replica workerpool0-0 exited with a non-zero status of 137.", False, 137),
    ],
)
def test_the_platforms_faults_are_told_from_the_users(
    code: int, message: str, exit_code: int | None, *, interrupted: bool
):
    found = job(reply("FAILED", code, message), ENVIRONMENT)
    assert found.interrupted is interrupted
    assert found.exit_code == exit_code


def test_a_job_of_another_tool_is_told_without_an_identity():
    found = job({"name": f"{NAME}/customJobs/7", "state": "JOB_STATE_QUEUED", "labels": {"a": "b"}}, ENVIRONMENT)
    assert (found.id, found.attempt, found.outputs, dict(found.tags)) == ("", 0, {}, {"a": "b"})


def test_what_was_printed_stands_in_for_a_report_that_is_not_there():
    line = {"timestamp": "2026-01-31T12:00:00.123456789Z", "textPayload": "mlinfra-metric name=auc value=0.5 step=3\n"}
    found = metrics({"report": None, "logs": {"entries": [line], "position": ""}}, ENVIRONMENT)
    assert [(point.name, point.value, point.step) for point in found] == [("auc", 0.5, 3)]
    report = {"text": json.dumps([{"name": "auc", "value": None, "step": None, "time": 0}])}
    assert str(metrics({"report": report}, ENVIRONMENT)[0].value) == "nan"


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-01-31T12:00:00Z", 0),
        ("2026-01-31T12:00:00.1Z", 100_000),
        ("2026-01-31T12:00:00.123456789Z", 123_456),
        ("2026-01-31T12:00:00.123456789+01:00", 123_456),
    ],
)
def test_times_have_up_to_nine_digits(text: str, microseconds: int):
    found = time_of(text)
    assert found is not None
    assert found.microsecond == microseconds


def test_a_version_of_another_tool_is_shown_without_a_digest():
    found = version({"name": f"{NAME}/models/theirs@3", "versionId": "3", "versionAliases": ["default"]}, ENVIRONMENT)
    assert (found.native_id, found.digest, found.state, found.artefact) == ("theirs@3", "", VersionState.READY, None)
    assert (found.aliases, found.approval) == ((), Approval.PENDING)


def test_the_newest_version_of_a_page_comes_first():
    models = [{"name": f"{NAME}/models/m@{number}", "versionId": str(number)} for number in (2, 10, 9)]
    assert [each.version for each in versions({"models": models}, ENVIRONMENT).versions] == ["10", "9", "2"]
