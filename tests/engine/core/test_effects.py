"""What is named by its content is sent once: what this machine lately saw to be there is not sent again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlinfra.contract.adapter import Caller
from mlinfra.contract.requests import Request
from mlinfra.engine.clock import Clock
from mlinfra.engine.effects import send_all
from mlinfra.engine.folders import Folders
from mlinfra.engine.journal import Journal
from mlinfra.engine.session import Session
from mlinfra.environment import Environment
from mlinfra.errors import MlinfraError, NotFound, SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.contract.requests import Document

IMAGE = Request("image", "ml", "PutImage", {"name": "i"}, repeatable=True, known="images/i")
JOB = Request("job", "ml", "PutJob", {"name": "j"}, repeatable=True)


class Platform:
    """Keeps what it is sent; a job needs its image."""

    def __init__(self, refusal: type[MlinfraError] = NotFound) -> None:
        self.sent: list[str] = []
        self.images: set[str] = set()
        self.refusal = refusal

    def caller(self) -> Caller:
        return Caller("here", "ada")

    def send(self, request: Request) -> Document:
        self.sent.append(request.operation)
        if request.operation == "PutImage":
            self.images.add("i")
        elif not self.images:
            raise self.refusal("the job's image is not there")
        return {"name": request.body["name"]}


@pytest.fixture
def platform() -> Platform:
    return Platform()


def session(platform: Platform, folder: Path) -> Session:
    folders = Folders(project=folder / "project", state=folder / "state").ensure()
    environment = Environment.model_validate({"name": "fake-dev", "platform": "fake", "account": "here"})
    return Session(
        environment=environment,
        adapter=cast("Any", None),
        client=cast("Any", platform),
        folders=folders,
        journal=Journal(folders.journal),
        pacer=cast("Any", SimpleNamespace(acquire=lambda _: None)),
        clock=Clock(),
        say=lambda _: None,
    )


def test_what_was_seen_there_is_passed_over_also_by_the_next_process(platform: Platform, tmp_path: Path):
    for work in ("one", "another"):
        replies = send_all(session(platform, tmp_path), work, (IMAGE, JOB))
        assert replies["job"] == {"name": "j"}
    assert platform.sent == ["PutImage", "PutJob", "PutJob"]


@pytest.mark.parametrize("refusal", [NotFound, SpecError])
def test_what_turns_out_to_be_gone_is_sent_after_all(tmp_path: Path, refusal: type[MlinfraError]):
    platform = Platform(refusal)
    send_all(session(platform, tmp_path), "one", (IMAGE, JOB))
    platform.images.clear()
    assert send_all(session(platform, tmp_path), "another", (IMAGE, JOB))["job"] == {"name": "j"}
    assert platform.sent[2:] == ["PutJob", "PutImage", "PutJob"]


def test_a_refusal_that_has_nothing_to_do_with_it_is_told(platform: Platform, tmp_path: Path):
    with pytest.raises(NotFound):
        send_all(session(platform, tmp_path), "one", (JOB,))
    assert platform.sent == ["PutJob"]


def test_what_was_refused_is_not_thought_to_be_there(platform: Platform, tmp_path: Path):
    known = Request("job", "ml", "PutJob", {"name": "j"}, repeatable=True, known="jobs/j")
    for _ in range(2):
        with pytest.raises(NotFound):
            send_all(session(platform, tmp_path), "one", (known,))
    assert platform.sent == ["PutJob", "PutJob"]


def test_the_mark_survives_the_journal():
    assert Request.from_document(IMAGE.as_document()) == IMAGE
    assert "known" not in JOB.as_document()


def test_the_journal_knows_what_was_ever_intended_here(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    assert not journal.knows("fake", "job/1/1")
    journal.settle(journal.intend("fake", "job/1/1", JOB), {})
    assert journal.knows("fake", "job/1/1")
    assert not journal.knows("fake", "job/1/2")
    assert not journal.knows("another", "job/1/1")
