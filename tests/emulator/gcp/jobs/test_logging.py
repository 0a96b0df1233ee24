"""Cloud Logging over its REST interface, and what jobs leave in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.logging.filters import test_of as tells  # not a test, whatever pytest would think

ENTRY = {
    "logName": "projects/p/logs/workerpool0-0",
    "resource": {"type": "ml_job", "labels": {"job_id": "7", "task_name": "workerpool0-0"}},
    "labels": {"ml.googleapis.com/tag_name": "a", "plain": "b"},
    "severity": "WARNING",
    "timestamp": "2026-11-21T10:00:00.5Z",
    "jsonPayload": {"message": "Loss is 0.25", "step": 12, "deep": {"flag": True}},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        'resource.type="ml_job"',
        'resource.type="ml_job" AND resource.labels.job_id="7"',
        'resource.type = "ml_job"\nresource.labels.job_id = "7"',
        'resource.labels.job_id=("6" OR "7")',
        'labels."ml.googleapis.com/tag_name"="a"',
        "labels.plain=B",
        "labels.plain:*",
        "severity>=INFO AND severity<ERROR",
        "severity=warning",
        'timestamp>="2026-11-21T10:00:00Z" timestamp<"2026-11-21T11:00:00+00:30"',
        'log_name="projects/p/logs/workerpool0-0"',
        'jsonPayload.message:"loss"',
        'jsonPayload.message=~"Loss is [0-9.]+$"',
        'jsonPayload.message!~"^is"',
        "jsonPayload.step>=12 jsonPayload.step<12.5",
        "jsonPayload.deep.flag=true",
        "loss",
        '"is 0.25"',
        'NOT severity=ERROR -labels.plain=c (labels.plain=c OR severity="WARNING")',
        "labels.none!=x",
        "-- a comment\nseverity=WARNING",
    ],
)
def test_filters_that_mean_the_entry(text):
    assert tells(text)(ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        'resource.type="ml_job" resource.labels.job_id="8"',
        "severity>WARNING",
        "labels.none:*",
        "labels.none=x",
        "NOT loss",
        'labels.plain=b AND (severity=ERROR OR labels.plain="c")',
        'timestamp>"2026-11-21T10:00:00.500Z"',
        "jsonPayload.step<12",
        'resource.labels.job_id=("6" OR "8")',
        'textPayload=~"Loss"',
    ],
)
def test_filters_that_do_not_mean_the_entry(text):
    assert not tells(text)(ENTRY)


def test_or_binds_closer_than_and():
    assert not tells("severity=ERROR AND labels.plain=b OR labels.plain=c")(ENTRY)
    assert tells("labels.plain=b OR labels.plain=c AND severity=WARNING")(ENTRY)


@pytest.mark.parametrize(
    "text", ['a="', "a=", "(a=b", "a=b)", "AND", 'x=~"("', "severity>=NONSENSE", "timestamp>now", "=", "a=("]
)
def test_filters_that_cannot_be_read_are_refused(text):
    with pytest.raises(Refusal, match="INVALID_ARGUMENT"):
        tells(text)(ENTRY)


@given(st.text(alphabet='ab."=<>:~!()-\\ ANDORT*', max_size=30))
def test_every_filter_is_read_or_refused(text):
    refused = []
    try:
        tells(text)(ENTRY)
    except Refusal as exc:
        refused.append(exc.code)
    assert refused in ([], ["INVALID_ARGUMENT"])


@pytest.fixture
def entries(session, emulator):
    """entries.list in somebody's name."""

    def send(text: str = "", principal: str = "deployer", **body: object) -> dict:
        asked = {"resourceNames": [f"projects/{emulator.project}"], "filter": text, **body}
        return session(principal).post(f"{emulator.url}/v2/entries:list", json=asked, timeout=10).json()

    return send


def test_a_jobs_lines_are_found_by_its_number(submit, until, entries, emulator):
    job = until(submit('print(\'one\'); print(\'{"message": "two", "severity": "error", "x": 1}\'); print(\'{no\')'))
    number = job.name.rpartition("/")[2]
    chosen = f'resource.type="ml_job" AND resource.labels.job_id="{number}"'
    found = entries(f'{chosen} AND resource.labels.task_name="workerpool0-0"')["entries"]
    assert [entry["jsonPayload"]["message"] for entry in found] == ["one", "two", "{no"]
    assert [entry["severity"] for entry in found] == ["INFO", "ERROR", "INFO"]
    assert found[0]["logName"] == f"projects/{emulator.project}/logs/workerpool0-0"
    assert found[0]["labels"]["ml.googleapis.com/tag_name"] == "workerpool0-0"
    everything = entries(chosen)["entries"]
    assert everything[-1]["textPayload"] == "Job completed successfully."
    assert everything == sorted(everything, key=lambda entry: entry["timestamp"])


def test_lines_are_there_while_the_job_runs(submit, entries, jobs, written):
    job = submit("import time; print('up'); time.sleep(60)")
    written(job, "up")
    assert entries('jsonPayload.message="up"')["entries"]
    assert jobs.get_custom_job(name=job.name).state.name == "JOB_STATE_RUNNING"


def test_an_account_that_may_not_write_logs_runs_without(submit, until, entries, emulator, account):
    with emulator.policy.without(account, "logging.logEntries.create"):
        assert until(submit("print('unheard')")).state.name == "JOB_STATE_SUCCEEDED"
    assert "entries" not in entries("unheard")


@pytest.fixture
def twelve(session, emulator):
    """Twelve entries, by the trainer over the wire."""
    answer = session("trainer").post(
        f"{emulator.url}/v2/entries:write",
        json={
            "logName": f"projects/{emulator.project}/logs/own%2Flog",
            "resource": {"type": "global"},
            "labels": {"a": "b"},
            "entries": [
                {"textPayload": f"line {number}", "timestamp": f"2026-11-21T10:00:{number:02}Z"}
                for number in reversed(range(12))
            ],
        },
        timeout=10,
    )
    assert answer.json() == {}


def test_pages_go_through_all_in_either_order(twelve, entries):
    for order in ("asc", "desc"):
        texts, token = [], ""
        while True:
            page = entries('labels.a="b"', orderBy=f"timestamp {order}", pageSize=5, pageToken=token)
            texts += [entry["textPayload"] for entry in page["entries"]]
            token = page.get("nextPageToken", "")
            if not token:
                break
        assert texts == [f"line {number}" for number in (range(12) if order == "asc" else reversed(range(12)))]


def test_entries_that_come_between_two_pages_shift_nothing(twelve, entries, emulator):
    first = entries('labels.a="b"', pageSize=5)
    early = {"timestamp": "2026-11-21T09:00:00Z", "textPayload": "early"}
    emulator.logs.write("own/log", {"type": "global"}, {"a": "b"}, [early])
    second = entries('labels.a="b"', pageSize=5, pageToken=first["nextPageToken"])
    assert [entry["textPayload"] for entry in second["entries"]] == [f"line {number}" for number in range(5, 10)]


def test_a_page_token_of_another_question_is_refused(twelve, entries):
    token = entries('labels.a="b"', pageSize=5)["nextPageToken"]
    assert entries('labels.a="c"', pageToken=token)["error"]["status"] == "INVALID_ARGUMENT"
    assert entries('labels.a="b"', pageToken="nonsense")["error"]["status"] == "INVALID_ARGUMENT"


def test_logs_are_listed_and_deleted(twelve, session, emulator, environment):
    http, name = session(), f"projects/{emulator.project}/logs/own%2Flog"
    assert http.get(f"{emulator.url}/v2/projects/{emulator.project}/logs").json() == {"logNames": [name]}
    assert http.delete(f"{emulator.url}/v2/{name}").status_code == 403
    member = f"serviceAccount:{environment.identities['deployer']}"
    emulator.identity.bindings.grant(f"projects/{emulator.project}", "roles/owner", member, "")
    assert http.delete(f"{emulator.url}/v2/{name}").json() == {}
    assert http.get(f"{emulator.url}/v2/projects/{emulator.project}/logs").json() == {}


def test_who_may_not_read_or_write_is_refused(entries, session, emulator):
    assert entries(principal="trainer")["error"]["status"] == "PERMISSION_DENIED"
    body = {"entries": [{"logName": f"projects/{emulator.project}/logs/l", "textPayload": "x"}]}
    answer = session().post(f"{emulator.url}/v2/entries:write", json=body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_entries_that_are_none_are_refused(session, emulator):
    name = f"projects/{emulator.project}/logs/l"
    for entry in (
        {"textPayload": "x"},
        {"resource": {"type": "global"}},
        {"resource": {"type": "global"}, "textPayload": "x", "severity": "LOUD"},
    ):
        answer = session("trainer").post(f"{emulator.url}/v2/entries:write", json={"logName": name, "entries": [entry]})
        assert answer.status_code == 400
