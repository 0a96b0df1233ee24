"""Progress that outlives its machine where the platform keeps no folder: brought, sent as it grows, and at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mlinfra.runner import checkpoints
from mlinfra.runner.checkpoints import kept
from mlinfra.runner.problem import RunnerError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "checkpoint"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def far(tmp_path: Path) -> Path:
    return tmp_path / "far" / "checkpoints" / "work-id"


def test_without_a_place_nothing_is_kept(folder: Path):
    with kept(folder, None):
        (folder / "a").write_text("1")
    assert (folder / "a").read_text() == "1"


def test_the_first_run_begins_with_nothing_and_leaves_all(folder: Path, far: Path):
    with kept(folder, far.as_uri()):
        assert list(folder.iterdir()) == []
        (folder / "deep").mkdir()
        (folder / "deep" / "weights").write_bytes(b"1")
    assert (far / "deep" / "weights").read_bytes() == b"1"


def test_the_next_run_goes_on_from_there(folder: Path, far: Path):
    far.mkdir(parents=True)
    (far / "epoch").write_text("3")
    with kept(folder, far.as_uri()):
        assert (folder / "epoch").read_text() == "3"


def test_what_changes_is_sent_while_the_command_runs(folder: Path, far: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoints, "INTERVAL", 0.01)
    with kept(folder, far.as_uri()):
        for content in ("1", "22"):
            (folder / "epoch").write_text(content)
            ends = time.monotonic() + 30
            while not (far / "epoch").exists() or (far / "epoch").read_text() != content:
                assert time.monotonic() < ends
                time.sleep(0.01)


def test_what_did_not_change_is_not_sent_again(folder: Path, far: Path, monkeypatch: pytest.MonkeyPatch):
    far.mkdir(parents=True)
    (far / "old").write_text("1")
    sent: list[str] = []
    monkeypatch.setattr(checkpoints, "upload_file", lambda file, uri: sent.append(f"{file.name} {uri}"))
    with kept(folder, far.as_uri()):
        (folder / "new").write_text("2")
    assert sent == [f"new {far.as_uri()}/new"]


def test_one_of_several_machines_sends(folder: Path, far: Path):
    with kept(folder, far.as_uri(), sends=False):
        (folder / "epoch").write_text("1")
    assert not far.exists()


def test_the_end_of_a_command_that_fails_is_sent_too(folder: Path, far: Path):
    def command() -> None:
        with kept(folder, far.as_uri()):
            (folder / "epoch").write_text("1")
            raise RunnerError("died", 1)

    with pytest.raises(RunnerError, match="died"):
        command()
    assert (far / "epoch").read_text() == "1"


def test_what_cannot_be_sent_is_said_and_harms_nobody(
    folder: Path, far: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(_file: Path, _uri: str) -> None:
        raise RunnerError("no room", 75)

    monkeypatch.setattr(checkpoints, "upload_file", refuse)
    with kept(folder, far.as_uri()):
        (folder / "epoch").write_text("1")
    assert "was not sent whole: no room" in capsys.readouterr().err
