"""Reading several nodes' files from where the last reading ended: nothing twice, nothing lost, whatever comes late."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra_azure import logs

if TYPE_CHECKING:
    import pytest

WRITTEN = "Sat, 31 Jan 2026 12:00:00 GMT"


class Run:
    """A run's files as run history and the storage service tell them."""

    def __init__(self, *names: str) -> None:
        self.files = dict.fromkeys(names, b"")
        self.status = "Running"
        self.read = 0

    def details(self, job: str) -> dict[str, Any]:
        assert job == "train-1"
        return {"status": self.status, "logFiles": {name: f"https://store/{name}?sig" for name in self.files}}

    def fetch(self, url: str, start: int, end: int) -> logs.Piece | None:
        self.read += 1
        content = self.files[url.removeprefix("https://store/").removesuffix("?sig")]
        return logs.Piece(content[start:end], WRITTEN) if start < len(content) else None


def read_all(run: Run, token: str | None) -> tuple[list[tuple[str, str]], str]:
    """Read until nothing more is there, as the engine does."""
    lines: list[tuple[str, str]] = []
    for _ in range(1_000):
        page = logs.page(logs.follow(dict(logs.read("train-1", token).body), run.details, run.fetch))
        lines += [(line.source, line.text) for line in page.lines]
        if page.token == token:
            return lines, page.token
        token = page.token
    raise AssertionError("reading does not end")


def test_what_the_command_printed_and_nothing_of_the_services_own():
    run = Run("user_logs/std_log.txt", "system_logs/lifecycler/execution-wrapper.log", "logs/azureml/x.log")
    run.files = dict.fromkeys(run.files, b"hello\n")
    assert read_all(run, None)[0] == [("", "hello")]


def test_nodes_are_told_apart_and_lines_carry_when_their_file_was_written():
    run = Run("user_logs/std_log_process_0.txt", "user_logs/std_log_process_1.txt")
    run.files = dict.fromkeys(run.files, b"hello\r\n")
    reply = logs.follow(dict(logs.read("train-1", None).body), run.details, run.fetch)
    page = logs.page(reply)
    assert [(line.source, line.text) for line in page.lines] == [("0", "hello"), ("1", "hello")]
    assert page.lines[0].time == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_line_without_an_end_waits_for_it_as_long_as_the_run_goes_on():
    run = Run("user_logs/std_log.txt")
    run.files["user_logs/std_log.txt"] = b"one\ntw"
    lines, token = read_all(run, None)
    assert lines == [("", "one")]
    run.files["user_logs/std_log.txt"] += b"o"
    assert read_all(run, token) == ([], token)
    run.status = "Completed"
    assert read_all(run, token)[0] == [("", "two")]


def test_a_run_without_files_has_no_lines():
    run = Run()
    assert logs.page(logs.follow(dict(logs.read("train-1", None).body), run.details, run.fetch)).lines == ()


def test_a_large_file_is_read_in_pieces_and_an_endless_line_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logs, "CHUNK", 8)
    run = Run("user_logs/std_log.txt")
    run.files["user_logs/std_log.txt"] = b"a\nbb\nccc\n0123456789012345\nend\n"
    assert [text for _, text in read_all(run, None)[0]] == ["a", "bb", "ccc", "01234567", "89012345", "", "end"]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40)), max_size=30),
    seed=st.integers(0, 1000),
)
def test_however_it_is_read_every_line_comes_once_and_in_order(lines: list[tuple[int, int]], seed: int):
    names = ["user_logs/std_log_process_0.txt", "user_logs/std_log_process_1.txt"]
    run = Run(*names)
    found: list[tuple[str, str]] = []
    token: str | None = None
    generator = random.Random(seed)  # noqa: S311  no secret
    for number, (node, length) in enumerate(lines):
        run.files[names[node]] += f"{number} {'x' * length}\n".encode()
        if generator.random() < 0.5:
            more, token = read_all(run, token)
            found += more
    found += read_all(run, token)[0]
    for node in (0, 1):
        said = [text for source, text in found if source == str(node)]
        assert said == [f"{number} {'x' * length}" for number, (own, length) in enumerate(lines) if own == node]
