"""Every word of Azure Machine Learning's about jobs, versions and operations has a state; a new one ends nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlinfra.contract.states import Approval, JobState, VersionState
from mlinfra.environment import AzureEnvironment
from mlinfra_azure import answers
from mlinfra_azure.observe import job, jobs, metrics, models, version, versions
from mlinfra_azure.observe.jobs import STATES
from mlinfra_azure.observe.models import STATES as VERSION_STATES
from mlinfra_azure.paging import next_page
from mlinfra_azure.times import time_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the vendor's package imports

ENVIRONMENT = AzureEnvironment(
    name="azure-test", region="westeurope", account="risk", resource_group="risk", workspace="risk"
)


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, document: Any = None, **headers: str) -> None:
        self.status_code = status
        self.content = b"" if document is None else json.dumps(document).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def vendors(name: str) -> set[str]:
    from azure.ai.ml._restclient.arm_ml_service import models as theirs  # noqa: PLC0415  seconds

    return {each.value for each in getattr(theirs, name)}


def reply(status: str, message: str = "", code: str = "UserError", **fields: Any) -> dict[str, Any]:
    error = {"runError": {"code": code, "message": message}} if message else {}
    return {"name": "train-1", "properties": {"status": status}, **error, **fields}


@pytest.mark.thorough
def test_every_word_for_a_job_and_a_version_has_a_state():
    assert vendors("JobStatus") == set(STATES)
    assert vendors("AssetProvisioningState") == set(VERSION_STATES)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("Running", "", JobState.RUNNING),
        ("Finalizing", "", JobState.RUNNING),
        ("Completed", "", JobState.SUCCEEDED),
        ("Canceled", "", JobState.STOPPED),
        ("Canceled", "The job exceeded its maximum duration of 60 seconds", JobState.TIMED_OUT),
        ("Failed", "Run exceeded the time limit", JobState.TIMED_OUT),
        (
            "Failed",
            "User process exited with status code 1. Error: exceeded the time for a connection",
            JobState.FAILED,
        ),
        ("Hibernating", "", JobState.UNKNOWN),
        ("Unknown", "", JobState.UNKNOWN),
    ],
)
def test_a_word_and_its_error_make_one_state(status: str, message: str, expected: JobState):
    assert job(reply(status, message), ENVIRONMENT).state is expected


@pytest.mark.parametrize(
    ("code", "message", "interrupted", "exit_code"),
    [
        ("ServiceError", "Internal error occurred.", True, None),
        ("SystemError", "The node was lost.", True, None),
        ("UserError", "Not enough capacity: allocation failed for Standard_NC6s_v3.", True, None),
        ("UserError", "The requested cores exceed the quota left.", True, None),
        ("UserError", "Execution failed. User process exited with status code 3. Please check …", False, 3),
        ("ServiceError", "User process exited with exit code 137", False, 137),
        ("UserError", "The image could not be pulled.", False, None),
    ],
)
def test_the_platforms_faults_are_told_from_the_users(
    code: str, message: str, exit_code: int | None, *, interrupted: bool
):
    found = job(reply("Failed", message, code), ENVIRONMENT)
    assert found.interrupted is interrupted
    assert found.exit_code == exit_code


def test_an_inner_code_tells_more_than_an_outer_one():
    error = {"code": "UserError", "message": "no", "innerError": {"code": "OutOfCapacity"}}
    assert job({**reply("Failed"), "runError": error}, ENVIRONMENT).interrupted


def test_a_job_of_another_tool_is_told_without_an_identity_and_not_listed():
    theirs = {"name": "theirs", "properties": {"status": "Queued", "tags": {"a": "b"}}}
    found = job(theirs, ENVIRONMENT)
    assert (found.id, found.attempt, found.outputs, dict(found.tags)) == ("", 0, {}, {"a": "b"})
    assert jobs({"value": [theirs], "nextLink": None}, ENVIRONMENT).jobs == ()


def test_whether_a_job_was_there_is_told_by_how_a_put_was_answered():
    assert job({**reply("Queued"), "httpStatus": 200}, ENVIRONMENT).existed
    assert not job({**reply("Queued"), "httpStatus": 201}, ENVIRONMENT).existed


def test_what_was_printed_stands_in_for_a_report_that_is_not_there():
    line = {"time": "Sat, 31 Jan 2026 12:00:00 GMT", "file": "user_logs/std_log.txt"}
    lines = [{**line, "text": "mlinfra-metric name=auc value=0.5 step=3"}, {**line, "text": "hello"}]
    found = metrics({"report": None, "logs": {"lines": lines, "position": "{}"}}, ENVIRONMENT)
    assert [(point.name, point.value, point.step) for point in found] == [("auc", 0.5, 3)]
    report = {"text": json.dumps([{"name": "auc", "value": None, "step": None, "time": 0}])}
    assert str(metrics({"report": report}, ENVIRONMENT)[0].value) == "nan"


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-01-31T12:00:00Z", 0),
        ("2026-01-31T12:00:00.1Z", 100_000),
        ("2026-01-31T12:00:00.1234567Z", 123_456),
        ("2026-01-31T12:00:00.1234567+01:00", 123_456),
        ("2026-01-31T12:00:00", 0),
    ],
)
def test_times_have_up_to_seven_digits(text: str, microseconds: int):
    found = time_of(text)
    assert found is not None
    assert found.tzinfo is not None
    assert found.microsecond == microseconds


def test_what_is_no_time_is_none():
    assert time_of(None) is time_of("soon") is None


def test_a_version_of_another_tool_is_shown_without_a_digest():
    theirs = {"id": "/x/models/theirs/versions/v1", "name": "v1", "properties": {"modelUri": "azureml://x"}}
    found = version(theirs, ENVIRONMENT)
    assert (found.model, found.version, found.digest, found.state) == ("theirs", "v1", "", VersionState.READY)
    assert (found.aliases, found.approval) == ((), Approval.PENDING)
    assert (
        version({**theirs, "properties": {"provisioningState": "Melting"}}, ENVIRONMENT).state is VersionState.UNKNOWN
    )


def test_what_is_being_deleted_is_not_listed_and_models_of_other_environments_neither():
    going = {"id": "/x/models/m/versions/1", "name": "1", "properties": {"provisioningState": "Deleting"}}
    assert versions({"value": [going]}, ENVIRONMENT).versions == ()
    found = models({"value": [{"name": f"m-{ENVIRONMENT.suffix}"}, {"name": "m-000000"}]}, ENVIRONMENT)
    assert found.models == ("m",)


@pytest.mark.parametrize(
    ("link", "token"),
    [
        ("https://management.azure.com/x/jobs?api-version=2025-12-01&$skip=a%2Bb%3D", "a+b="),
        ("https://management.azure.com/x/jobs?%24skip=7", "7"),
        ("https://management.azure.com/x/jobs?$skipToken=9", "9"),
        (None, None),
        ("", None),
    ],
)
def test_the_next_page_is_asked_for_by_the_token_in_its_link(link: str | None, token: str | None):
    assert next_page({"nextLink": link}) == token


@pytest.mark.parametrize(
    ("answer", "began"),
    [
        (Answer(201, {"a": 1}, Azure_AsyncOperation="https://m/o"), "https://m/o"),
        (Answer(202, None, Location="https://m/l"), "https://m/l"),
        (Answer(202, None, Location="https://m/l", Azure_AsyncOperation="https://m/o"), "https://m/o"),
        (Answer(201, {"a": 1}, Location="https://m/resource"), None),
        (Answer(200, {"a": 1}), None),
        (Answer(204), None),
    ],
)
def test_an_operation_is_begun_as_the_service_says(answer: Answer, began: str | None):
    reply = answers.document(answer)
    assert reply.get("operation") == began
    assert reply.get("done") == (None if began is None else False)


@pytest.mark.parametrize(
    ("answer", "done", "status"),
    [
        (Answer(200, {"status": "InProgress"}), False, "InProgress"),
        (Answer(200, {"status": "Running"}), False, "Running"),
        (Answer(200, {"status": "Succeeded"}), True, "Succeeded"),
        (Answer(200, {"status": "Failed", "error": {"code": "X", "message": "no"}}), True, "Failed"),
        (Answer(200, {"status": "Canceled"}), True, "Canceled"),
        (Answer(202), False, "InProgress"),
        (Answer(200, {"properties": {"provisioningState": "Updating"}}), False, "Updating"),
        (Answer(200, {"properties": {"provisioningState": "Succeeded"}}), True, "Succeeded"),
        (Answer(204), True, "Succeeded"),
        (Answer(409, {"error": {"code": "Conflict", "message": "no"}}), True, "Failed"),
    ],
)
def test_how_an_operation_stands(answer: Answer, status: str, *, done: bool):
    reply = answers.operation(answer)
    assert reply is not None
    assert (reply["done"], reply["status"]) == (done, status)
    assert ("error" in reply) is (status in {"Failed", "Canceled"})
    if "error" in reply:
        assert reply["error"]["message"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_what_is_said_of_asking_is_not_said_of_the_operation(status: int):
    assert answers.operation(Answer(status)) is None


def test_a_token_is_read_as_far_as_it_can_be():
    assert answers.claims("not a token") == answers.claims("a.b.c") == answers.claims("") == {}
    assert answers.claims("x.eyJvaWQiOiAiMSJ9.x") == {"oid": "1"}


def test_an_answers_etag_is_its_documents_own_or_its_headers():
    assert answers.document(Answer(200, {"etag": "a"}, ETag="b"))["etag"] == "a"
    assert answers.document(Answer(200, {}, ETag="b"))["etag"] == "b"
    assert "etag" not in answers.document(Answer(200, {}))
    assert answers.document(Answer(200, {}, Date="now"), dated=True)["Date"] == "now"
