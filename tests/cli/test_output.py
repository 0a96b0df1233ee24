"""Tables for people."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from mlinfra.cli.output import Table, ago, cell, facts, write_document, write_tables


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "-"),
        ("", "-"),
        ({}, "-"),
        ((), "-"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        (0.123456789, "0.123457"),
        (["a", None], "a, -"),
        ({"auc": 0.83, "ok": True}, "auc=0.83, ok=yes"),
    ],
)
def test_a_cell_reads_like_a_person_would_say_it(value: object, told: str):
    assert cell(value) == told


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (timedelta(0), "0 s ago"),
        (timedelta(seconds=-5), "0 s ago"),
        (timedelta(seconds=119), "1 minute ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=3, hours=4), "3 days ago"),
    ],
)
def test_how_long_ago(since: timedelta, told: str):
    assert ago(datetime.now(UTC) - since) == told


def test_plain_columns_line_up_and_are_never_cut(capsys):
    write_tables([Table(("name", "value"), [("a", "x" * 500), ("longer", "y")])])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME    VALUE"
    assert lines[1] == "a       " + "x" * 500
    assert lines[2] == "longer  y"


def test_an_empty_table_speaks_on_stderr(capsys):
    write_tables([Table(("name",), [], empty="no jobs")])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no jobs\n")


def test_a_screen_gets_the_same_words(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    write_tables([Table(("name", "value"), [("a", "[red]not markup[/red]")], "A title"), facts({"b": 1, "gone": ""})])
    for words in ("A title", "NAME", "[red]not markup[/red]", "b"):
        assert words in screen.getvalue()
    assert "gone" not in screen.getvalue()


def test_a_document_knows_moments_and_refuses_what_json_cannot_carry(capsys):
    write_document({"time": datetime(2026, 1, 2, tzinfo=UTC), "set": {"b", "a"}})
    assert '"time": "2026-01-02T00:00:00+00:00"' in capsys.readouterr().out
    with pytest.raises(TypeError):
        write_document({"object": object()})
    with pytest.raises(ValueError, match="Out of range"):
        write_document({"number": float("nan")})
