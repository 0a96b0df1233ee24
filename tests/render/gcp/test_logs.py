"""Reading several replicas from where the last reading ended: nothing twice, nothing lost, whatever comes late."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra_gcp import logs

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
_SINCE = re.compile(r'timestamp>="([^"]+)"')


class Entries:
    """entries.list as its description says: by time, page by page, from a moment; tokens die with their query."""

    def __init__(self, page: int) -> None:
        self.entries: list[dict[str, Any]] = []
        self.page = page

    def add(self, moment: datetime, replica: str, text: str) -> None:
        number = len(self.entries)
        self.entries.append(
            {
                "logName": f"projects/p/logs/{replica}",
                "timestamp": f"{moment.strftime('%Y-%m-%dT%H:%M:%S.%f')}{number % 1000:03}Z",
                "insertId": str(number),
                "textPayload": text,
                "resource": {"type": "ml_job", "labels": {"job_id": "42", "task_name": replica}},
            }
        )

    def list(self, body: dict[str, Any]) -> dict[str, Any]:
        found = _SINCE.search(body["filter"])
        assert found is not None
        query, _, skip = body.get("pageToken", f"{body['filter']}|0").rpartition("|")
        assert query == body["filter"], "a token of another query"
        wanted = [each for each in self.entries if each["timestamp"] >= found[1]]
        ordered = sorted(wanted, key=lambda each: each["timestamp"])
        reply: dict[str, Any] = {"entries": ordered[int(skip) : int(skip) + self.page]}
        if len(ordered) > int(skip) + self.page:
            reply["nextPageToken"] = f"{body['filter']}|{int(skip) + self.page}"
        return reply


def read_all(entries: Entries, token: str | None) -> tuple[list[str], str]:
    """Read until nothing more is there, as the engine does."""
    lines: list[str] = []
    for _ in range(1_000):
        body = dict(logs.read("p", logs.of(logs.JOB, job_id="42"), token).body)
        page = logs.page(logs.follow(body, entries.list))
        lines += [line.text for line in page.lines]
        if page.token == token:
            return lines, page.token
        token = page.token
    raise AssertionError("reading does not end")


@settings(deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 9_000), st.sampled_from(["workerpool0-0", "workerpool1-0"])), max_size=30),
        max_size=6,
    ),
    page=st.integers(1, 10),
)
def test_what_arrives_up_to_ten_seconds_late_is_read_once(batches: list[list[tuple[int, str]]], page: int):
    entries, token, seen = Entries(page), None, []
    for number, batch in enumerate(batches):
        for late, replica in batch:
            moment = START + timedelta(seconds=20 + number) - timedelta(milliseconds=late)
            entries.add(moment, replica, f"line {len(entries.entries)}")
        lines, token = read_all(entries, token)
        seen += lines
    assert sorted(seen) == sorted(each["textPayload"] for each in entries.entries)


def test_a_line_says_which_node_printed_it():
    entries = Entries(10)
    entries.add(START, "workerpool1-0", "hello\n")
    body = dict(logs.read("p", "x", None).body)
    (line,) = logs.page(logs.follow(body, entries.list)).lines
    assert (line.source, line.text, line.time) == ("workerpool1-0", "hello", START)


def test_a_line_of_json_is_told_by_its_message():
    assert logs.text_of({"jsonPayload": {"message": "loss 0.5\n", "levelname": "INFO"}}) == "loss 0.5"
    assert logs.text_of({"jsonPayload": {"loss": 0.5}}) == '{"loss": 0.5}'


def test_the_first_reading_begins_with_the_job():
    asked: list[dict[str, Any]] = []
    body = dict(logs.read("p", "x", None, since="2026-01-31T12:00:00Z").body)
    logs.follow(body, lambda sent: asked.append(sent) or {})
    assert asked[0]["filter"] == 'x AND timestamp>="2026-01-31T12:00:00.000000000Z"'
    assert asked[0]["resourceNames"] == ["projects/p"]


def test_a_position_stays_short_however_much_is_printed():
    entries = Entries(10_000)
    for number in range(5_000):
        entries.add(START + timedelta(milliseconds=number // 100), "workerpool0-0", str(number))
    lines, token = read_all(entries, None)
    assert len(lines) == 5_000
    assert len(token) < 15_000
    assert read_all(entries, token)[0] == []
