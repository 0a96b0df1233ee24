"""Reading several streams from where the last reading ended: nothing twice, nothing lost, whatever comes late."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlinfra_aws import logs


class Streams:
    """FilterLogEvents as its description says: merged by time, page by page, from a start."""

    def __init__(self, page: int) -> None:
        self.events: list[dict[str, Any]] = []
        self.page = page

    def add(self, moment: int, stream: str, text: str) -> None:
        event = {
            "timestamp": moment,
            "logStreamName": f"job/{stream}-1",
            "message": text,
            "eventId": str(len(self.events)),
        }
        self.events.append(event)

    def filter(self, body: dict[str, Any]) -> dict[str, Any]:
        start, skip = body.get("startTime", 0), int(body.get("nextToken", 0))
        found = sorted(
            (e for e in self.events if e["timestamp"] >= start), key=lambda e: (e["timestamp"], e["eventId"])
        )
        reply: dict[str, Any] = {"events": found[skip : skip + self.page]}
        return {**reply, "nextToken": str(skip + self.page)} if len(found) > skip + self.page else reply


def read_all(streams: Streams, token: str | None) -> tuple[list[str], str]:
    """Read until nothing more is there, as the engine does."""
    lines: list[str] = []
    for _ in range(1_000):
        request = logs.read("/aws/sagemaker/TrainingJobs", "job/", token)
        body = dict(request.body)
        page = logs.page(logs.follow(body, streams.filter))
        lines += [line.text for line in page.lines]
        if page.token == token:
            return lines, page.token
        token = page.token
    raise AssertionError("reading does not end")


@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 9_000), st.sampled_from(["algo-1", "algo-2"])), max_size=30), max_size=6
    ),
    page=st.integers(1, 10),
)
def test_what_arrives_up_to_ten_seconds_late_is_read_once(batches: list[list[tuple[int, str]]], page: int):
    streams, token, seen = Streams(page), None, []
    for number, batch in enumerate(batches):
        for late, stream in batch:
            streams.add(20_000 + 1_000 * number - late, stream, f"line {len(streams.events)}")
        lines, token = read_all(streams, token)
        seen += lines
    assert sorted(seen) == sorted(event["message"] for event in streams.events)


def test_a_line_says_which_node_printed_it():
    streams = Streams(10)
    streams.add(1_700_000_000_000, "algo-2", "hello\n")
    body = dict(logs.read("group", "job/", None).body)
    (line,) = logs.page(logs.follow(body, streams.filter)).lines
    assert (line.source, line.text, line.time.year) == ("algo-2", "hello", 2023)


def test_a_position_stays_short_however_much_is_printed():
    streams = Streams(10_000)
    for number in range(5_000):
        streams.add(1_000 + number // 100, "algo-1", str(number))
    lines, token = read_all(streams, None)
    assert len(lines) == 5_000
    assert len(token) < 10_000
    assert read_all(streams, token)[0] == []
