from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.requests import Request
from mlinfra.engine.journal import FollowUp, Journal
from mlinfra.errors import CapacityUnavailable

if TYPE_CHECKING:
    from pathlib import Path

CREATE = Request(step="create", service="host", operation="CreateJob", body={"name": "a"}, repeatable=True)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def test_an_intent_is_open_until_it_is_settled(journal: Journal):
    effect = journal.intend("env", "job/1", CREATE)
    assert [left.request for left in journal.open_effects("env")] == [CREATE]

    journal.settle(effect, {"name": "a"})
    assert journal.open_effects("env") == []


def test_an_intent_of_a_living_process_is_not_abandoned(journal: Journal):
    journal.intend("env", "job/1", CREATE)
    assert not journal.open_effects("env")[0].abandoned


def test_an_intent_outlives_the_process_that_was_killed(tmp_path: Path):
    path = tmp_path / "journal.db"
    script = f"""
import os, signal
from pathlib import Path
from mlinfra.contract.requests import Request
from mlinfra.engine.journal import Journal
journal = Journal(Path({str(path)!r}))
journal.intend("env", "job/1", Request(step="create", service="host", operation="CreateJob", repeatable=True))
os.kill(os.getpid(), signal.SIGKILL)
"""
    child = subprocess.run([sys.executable, "-c", script], check=False)
    assert child.returncode == -9

    left = Journal(path).open_effects("env", "job/1")
    assert [effect.request.operation for effect in left] == ["CreateJob"]
    assert left[0].abandoned


def test_environments_and_procedures_are_kept_apart(journal: Journal):
    journal.intend("one", "job/1", CREATE)
    journal.intend("two", "job/2", CREATE)
    assert [left.procedure for left in journal.open_effects("one")] == ["job/1"]
    assert journal.open_effects("two", "job/1") == []


def test_what_is_owed_twice_is_due_once_and_done_once(journal: Journal):
    journal.owe("env", "abc", ["register", "retry"])
    journal.owe("env", "abc", ["register"])
    assert [owed.kind for owed in journal.follow_ups("env")] == ["register", "retry"]

    journal.followed_up("env", FollowUp("abc", "register"))
    journal.owe("env", "abc", ["register"])
    assert [owed.kind for owed in journal.follow_ups("env", "abc")] == ["retry"]


@pytest.mark.thorough
@pytest.mark.parametrize("damage", ["garbage", "truncated", "flipped"])
def test_a_torn_journal_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: str):
    path = tmp_path / "journal.db"
    first = Journal(path)
    for _ in range(200):
        first.intend("env", "job/1", CREATE)
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        content = bytearray(os.urandom(5000))
    elif damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[4096:8192] = bytes(4096)
    for leftover in tmp_path.iterdir():
        leftover.unlink()
    path.write_bytes(content)

    journal = Journal(path)

    assert journal.set_aside is not None
    assert journal.set_aside.read_bytes() == content
    journal.settle(journal.intend("env", "job/2", CREATE), {})
    assert journal.open_effects("env") == []


def test_without_room_on_the_disk_nothing_is_intended(tmp_path: Path):
    path = tmp_path / "journal.db"
    Journal(path)
    script = f"""
import resource, signal
from pathlib import Path
from mlinfra.contract.requests import Request
from mlinfra.engine.journal import Journal
from mlinfra.errors import CapacityUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path({str(path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
big = Request(step="create", service="host", operation="CreateJob", body={{"text": "x" * 200_000}}, repeatable=True)
try:
    journal.intend("env", "job/1", big)
except CapacityUnavailable as exc:
    print(exc.exit_code)
"""
    child = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert child.stdout == f"{CapacityUnavailable.exit_code}\n"
    assert Journal(path).open_effects("env") == []
