"""Whose lock it is: own stale ones are taken over, nobody else's ever."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mlinfra.infra.automation import locks

if TYPE_CHECKING:
    from pathlib import Path

SAID = """error: the stack is currently locked by 2 lock(s). Either wait or delete them.
  file:///a%20b/locks/x.json?no_tmp_dir=true: created by ann@box (pid 12) at 2026-11-21T15:00:00Z
  s3://bucket/.pulumi/locks/y.json: created by Bob Smith@ci-7.example (pid 3) at 2026-11-21T16:30:00+01:00
"""


def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def held(place: str, *, user: str = "", host: str = "", pid: int = 0) -> locks.Lock:
    return locks.Lock(
        place, user or getpass.getuser(), host or socket.gethostname(), pid or dead(), datetime(2026, 1, 2, tzinfo=UTC)
    )


def never() -> None:
    raise AssertionError("the engine was asked to remove locks")


def test_owner_process_host_and_age_are_read_from_what_the_engine_says():
    first, second = locks.read(SAID)
    now = datetime(2026, 11, 21, 17, 0, 0, tzinfo=UTC)
    assert first.told(now) == "ann@box, process 12, for 2.0 h"
    assert second.told(now) == "Bob Smith@ci-7.example, process 3, for 1.5 h"


def test_a_dead_process_of_ours_holds_nothing(tmp_path: Path):
    file = tmp_path / "a b.json"
    file.touch()
    assert locks.release([held(f"file://{tmp_path}/a%20b.json?no_tmp_dir=true")], never)
    assert not file.exists()


def test_in_a_bucket_the_engine_removes_it():
    asked: list[str] = []
    assert locks.release([held("s3://bucket/lock.json")], lambda: asked.append("cancel"))
    assert asked == ["cancel"]


@pytest.mark.parametrize(
    "other", [{"user": "somebody-else"}, {"host": "elsewhere"}, {"pid": os.getpid()}], ids=["user", "host", "alive"]
)
def test_nobody_elses_lock_is_ever_touched(tmp_path: Path, other: dict[str, str]):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.touch()
    theirs.touch()
    found = [held(f"file://{ours}"), held(f"file://{theirs}", **other)]  # type: ignore[arg-type]
    assert not locks.release(found, never)
    assert ours.exists()
    assert theirs.exists()


def test_the_refusal_names_the_holder_and_the_way_out():
    told = locks.refusal("aws-dev", locks.read(SAID), SAID).as_document()
    assert told["exit_code"] == 5
    assert "ann@box, process 12" in told["given"]
    assert "pulumi cancel --stack aws-dev" in told["todo"]
