"""Where a stack's program and its state lie, before any engine runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlinfra.engine.folders import Folders
from mlinfra.errors import Denied, EnvironmentNotFound, NotFound, SpecError, UsageError
from mlinfra.infra.automation import places, states

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def write(project: Path, monkeypatch: pytest.MonkeyPatch):
    """A program whose stack `risk` has these lines in its configuration; returns its place."""
    for name in (states.BACKEND, states.PASSPHRASE, f"{states.PASSPHRASE}_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(states.HOME, str(project / "nobody"))
    (project / "Pulumi.yaml").write_text("name: p\nruntime: python\nstackConfigDir: config\n")
    (project / "config").mkdir()

    def write(*lines: str, more: str = "") -> places.Place:
        text = "config:\n" + "".join(f"  mlinfra:{line}\n" for line in lines) + more
        (project / "config" / "Pulumi.risk.yaml").write_text(text)
        return places.find(project, "risk")

    return write


def test_the_configuration_is_read_without_running_the_program(write, project: Path):
    place = write("platform: aws", "stage: prod", "emulated: true", "settings: {protected: false}")
    assert (place.platform, place.stage, place.emulated, place.protected) == ("aws", "prod", True, False)
    assert (place.project, place.folder) == ("p", project)
    assert write("platform: aws", "stage: prod").protected


def test_a_program_is_found_from_below_and_in_infra(write, project: Path):
    write("platform: local")
    below = project / "a" / "b"
    below.mkdir(parents=True)
    assert places.find(below, "risk").folder == project
    (project / "Pulumi.yaml").rename(project / "a" / "Pulumi.yaml")
    (project / "config").rename(project / "a" / "config")
    (project / "a").rename(project / "infra")
    assert places.find(project, "risk").folder == project / "infra"


def test_what_is_not_there_is_told_with_what_is(write, project: Path, tmp_path: Path):
    write("platform: local")
    with pytest.raises(EnvironmentNotFound) as caught:
        places.find(project, "riks")
    assert caught.value.allowed == "risk"
    with pytest.raises(NotFound):
        places.find(tmp_path, "risk")


@pytest.mark.parametrize("lines", [["platform: aws", "platform: gcp"], ["platform: {"], ["platform: ibm"]])
def test_a_file_that_is_not_right_is_one_clear_error(write, lines: list[str]):
    with pytest.raises(SpecError) as caught:
        write(*lines)
    assert "Pulumi.risk.yaml" in str(caught.value)


def test_an_emulated_stack_has_a_state_and_a_home_of_its_own_whatever_is_set(write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(states.BACKEND, "s3://real")
    folders = Folders.find().ensure()
    state = states.choose(write("platform: aws", "stage: prod", "emulated: true"), folders)
    assert state.backend.startswith(f"file://{folders.project}/emulated/risk/")
    assert state.home.startswith(f"{folders.project}/emulated/risk/")
    assert state.variables[states.HOME] == state.home


def test_the_users_word_then_the_projects_then_a_login_then_a_folder(
    write, project: Path, monkeypatch: pytest.MonkeyPatch
):
    place, folders = write("platform: local"), Folders.find().ensure()
    assert states.choose(place, folders).backend == f"file://{folders.project}/pulumi"
    (project / "nobody").mkdir()
    (project / "nobody" / "credentials.json").write_text(json.dumps({"current": "https://api.example"}))
    assert states.choose(place, folders).backend == "https://api.example"
    states.write(folders, "risk", "file://states", "passphrase")
    assert states.choose(place, folders).backend == f"file://{project}/states"
    monkeypatch.setenv(states.BACKEND, "gs://mine")
    assert states.choose(place, folders).backend == "gs://mine"


def test_a_clouds_stack_without_a_place_for_its_state_is_told_how_to_make_one(write):
    with pytest.raises(UsageError, match="bootstrap risk"):
        states.choose(write("platform: aws"), Folders.find().ensure())


@pytest.mark.parametrize("more", ["", "encryptionsalt: v1:abc\n", "secretsprovider: passphrase\n"])
def test_prod_never_keeps_secrets_behind_a_passphrase(write, more: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(states.BACKEND, "s3://bucket")
    monkeypatch.setenv(states.PASSPHRASE, "hunter2")
    with pytest.raises(Denied) as caught:
        states.choose(write("platform: aws", "stage: prod", more=more), Folders.find().ensure())
    assert "hunter2" not in str(caught.value)
    keyed = write("platform: aws", "stage: prod", more="secretsprovider: awskms://alias/x?region=eu-west-1\n")
    assert states.choose(keyed, Folders.find().ensure()).backend == "s3://bucket"


def test_what_bootstrap_writes_replaces_its_own_entry_and_nothing_else(write, project: Path):
    write("platform: local")
    folders = Folders.find()
    folders.config.write_text('default_environment = "local"\n\n[state.other]\nbackend = "s3://o"\nsecrets = ""\n')
    states.write(folders, "risk", "s3://one", "awskms://a")
    states.write(folders, "risk", "s3://two", "awskms://b")
    text = folders.config.read_text()
    assert text.startswith('default_environment = "local"\n')
    assert (text.count("[state.risk]"), text.count("[state.other]")) == (1, 1)
    assert "s3://two" in text
    assert "s3://one" not in text


@pytest.mark.parametrize("text", ["[state.risk]\nbackend = 'ftp://x'\n", "state = 3\n", "[state"])
def test_a_word_of_the_project_that_is_no_backend_is_refused(write, project: Path, text: str):
    place = write("platform: local")
    (project / "mlinfra.toml").write_text(text)
    with pytest.raises(SpecError, match=r"mlinfra\.toml"):
        states.choose(place, Folders.find())


@pytest.mark.parametrize(
    ("variables", "written", "kept"),
    [
        ({states.PASSPHRASE: ""}, "encryptionsalt: v1:a=:b\n", ""),
        ({}, "encryptionsalt: v1:a=:b\n", "encryptionsalt: v1:a=:b\n"),
        ({states.PASSPHRASE: ""}, "encryptionsalt: v1:a=:b\n  p:key: 1\n", "encryptionsalt: v1:a=:b\n  p:key: 1\n"),
    ],
    ids=["nothing is kept behind it", "a passphrase of its user's", "more was written"],
)
def test_a_salt_is_written_only_where_something_is_kept_behind_it(write, variables, written: str, kept: str):
    place = write("platform: local")
    before = place.file.read_text()
    with states.unsalted(place, states.State("file:///s", "a test", variables=variables)):
        place.file.write_text(before + written)
    assert place.file.read_text() == before + kept


def test_a_salt_that_was_there_stays(write):
    place = write("platform: local", more="encryptionsalt: v1:a=:b\n")
    before = place.file.read_text()
    with states.unsalted(place, states.State("file:///s", "a test", variables={states.PASSPHRASE: ""})):
        pass
    assert place.file.read_text() == before


def test_what_a_killed_engine_left_empty_beside_a_state_is_taken_away(tmp_path: Path):
    stacks = tmp_path / "state" / ".pulumi" / "stacks" / "p"
    stacks.mkdir(parents=True)
    for name, text in {"a.json": "{}", "a.json.attrs": "", "b.json": "", "b.json.attrs": "{}"}.items():
        (stacks / name).write_text(text)
    for backend in (f"file://{tmp_path}/state?no_tmp_dir=true", "s3://bucket"):
        states.mend(states.State(backend, "a test"))
    assert sorted(path.name for path in stacks.iterdir()) == ["a.json", "b.json", "b.json.attrs"]
