"""`mlinfra emulator`: a cloud on this machine, from start to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from mlinfra.cli.emulator import marked as marked_document
from mlinfra.cli.output import Table, facts, marked
from mlinfra.emulator import manage
from mlinfra.engine import environments
from mlinfra.errors import Conflict
from mlinfra.host.processes import belonging

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def folder(project: Path) -> Iterator[Path]:
    """The usual folder of the project's emulator. Whatever a test starts there ends with it."""
    usual = project / ".mlinfra" / "emulators" / "aws"
    yield usual
    if running := manage.find(usual):
        manage.stop(running)
    assert belonging(str(project)) == []


@pytest.fixture
def started(mlinfra, folder: Path) -> dict[str, Any]:
    """The document of an emulator that was started."""
    shown = mlinfra("emulator", "start", "aws", "--delays-scale", "0", "-o", "json")
    assert shown.code == 0, shown.err
    assert shown.document["folder"] == str(folder)
    return shown.document


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["start", "oracle"], 2, "allowed: aws"),
        (["start", "AWS"], 2, "allowed: aws"),
        (["start", "local"], 2, "this machine itself"),
        (["start", "aws", "--faults", "none.yaml"], 4, "cannot be read"),
        (["start", "aws", "--port", "70000"], 2, "70000"),
        (["start", "aws", "--list-lag", "nan"], 2, "not a finite number"),
        (["start", "aws", "--delays-scale", "-1"], 2, "-1"),
        (["start"], 2, "PLATFORM"),
        (["stop"], 4, "mlinfra emulator start aws"),
        (["env", "aws"], 4, "mlinfra emulator start aws"),
        (["stop", "oracle"], 2, "allowed: aws, gcp"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_done(mlinfra, project: Path, arguments, code: int, told: str):
    shown = mlinfra("emulator", *arguments)
    assert (shown.code, told in shown.err) == (code, True), shown.err
    assert not (project / ".mlinfra" / "environments").exists()
    assert belonging(str(project)) == []


def test_a_wrong_script_of_faults_starts_nothing(mlinfra, project: Path):
    (project / "faults.yaml").write_text("- do: fail\n- do: explode\n")
    shown = mlinfra("emulator", "start", "aws", "--faults", "faults.yaml")
    assert (shown.code, "faults.yaml:2:7: rule 2, do" in shown.err) == (2, True)
    assert belonging(str(project)) == []


def test_a_folder_with_other_things_in_it_is_left_alone(mlinfra, project: Path):
    (project / "mine").mkdir()
    (project / "mine" / "thesis.txt").write_text("text")
    shown = mlinfra("emulator", "start", "aws", "--folder", "mine")
    assert (shown.code, "thesis.txt" in shown.err) == (2, True)
    assert [path.name for path in (project / "mine").iterdir()] == ["thesis.txt"]


def test_an_emulated_environment_hides_no_real_one(mlinfra, project: Path, cloud_document):
    (project / "aws.json").write_text(json.dumps({**cloud_document, "name": "aws-emulated"}))
    mlinfra("env", "add", "aws.json")
    shown = mlinfra("emulator", "start", "aws")
    assert (shown.code, "real environment aws-emulated" in shown.err) == (5, True)
    assert belonging(str(project)) == []


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def stand_in(project: Path, port: int) -> None:
    """Keep an environment that says that it is emulated, on the platform that needs no emulator."""
    document = {"name": "stand-in", "platform": "local", "root": str(project / "root"), "emulated": True}
    native = {"emulator": {"folder": str(project), "url": f"http://127.0.0.1:{port}"}}
    (project / "stand-in.json").write_text(json.dumps({**document, "native": native}))


def test_what_is_remembered_of_an_emulated_environment_is_kept_apart(mlinfra, project: Path, port: int):
    stand_in(project, port)
    mlinfra("env", "add", "stand-in.json")
    assert mlinfra("job", "list", "-e", "stand-in").code == 0
    assert sorted(path.name for path in (project / ".mlinfra").iterdir() if path.name != ".gitignore") == [
        "emulated",
        "environments",
    ]
    assert (project / ".mlinfra" / "emulated" / "stand-in" / "journal.db").exists()


def test_an_emulator_that_is_gone_is_told_before_anything_is_tried(mlinfra, project: Path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free = listening.getsockname()[1]
    stand_in(project, free)
    mlinfra("env", "add", "stand-in.json")
    shown = mlinfra("job", "list", "-e", "stand-in")
    assert (shown.code, "mlinfra emulator start local" in shown.err) == (75, True)
    assert not (project / ".mlinfra" / "emulated").exists()


@pytest.mark.parametrize(
    ("table", "marked_"),
    [
        (Table((), [("{",), ("}",)], "submit: s"), Table((), [("{",), ("}",)], "[emulated] submit: s")),
        (Table(("job",), [("a",), ("b",)]), Table(["job", "emulated"], [["a", True], ["b", True]])),
        (facts({"job": "a"}), Table((), [("job", "a"), ("emulated", True)])),
        (facts({"emulated": True}), facts({"emulated": True})),
        (Table(("name", "emulated"), [("a", False)]), Table(("name", "emulated"), [("a", False)])),
        (Table((), [], empty="none"), Table((), [], empty="none")),
    ],
)
def test_every_line_of_a_table_says_that_it_is_emulated(table: Table, marked_: Table):
    assert marked(table) == marked_


@pytest.mark.thorough
def test_an_emulator_that_cannot_be_used_is_ended_again(mlinfra, folder: Path, monkeypatch):
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise Conflict("no room")

    monkeypatch.setattr(environments, "keep", fail)
    assert mlinfra("emulator", "start", "aws").code == 5
    assert manage.find(folder) is None


@pytest.mark.thorough
def test_it_says_where_it_is_and_that_it_is_emulated(mlinfra, started: dict[str, Any], project: Path):
    assert (started["environment"], started["emulated"], started["platform"]) == ("aws-emulated", True, "aws")
    assert urllib3.request("POST", f"{started['url']}/_mlinfra/status").json()["emulated"] is True
    assert started["variables"]["AWS_ENDPOINT_URL"] == started["url"]
    env = mlinfra("emulator", "env")
    lines = env.out.splitlines()
    assert lines[0] == f"# emulated: aws at {started['url']}"
    assert f"export AWS_ENDPOINT_URL={started['url']}" in lines
    told = mlinfra("emulator", "env", "-o", "json").document
    assert (told["emulated"], told["variables"]) == (True, started["variables"])
    listed = mlinfra("env", "list", "-o", "json").document["environments"]
    assert [(each["name"], each["emulated"]) for each in listed] == [("aws-emulated", True), ("local", False)]


@pytest.mark.thorough
def test_the_lines_for_a_shell_point_the_vendor_s_client_at_it(mlinfra, started: dict[str, Any], tmp_path: Path):
    (tmp_path / "env.sh").write_text(mlinfra("emulator", "env", "aws").out)
    script = f"""eval "$(cat {tmp_path / "env.sh"})"; """
    script += 'python -c \'import boto3; print(boto3.client("sts").get_caller_identity()["Account"])\''
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    child = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert child.stdout == "111122223333\n", child.stderr


@pytest.mark.thorough
def test_one_at_a_time_in_a_folder(mlinfra, started: dict[str, Any]):
    shown = mlinfra("emulator", "start", "aws")
    assert (shown.code, started["url"] in shown.err) == (5, True)
    assert urllib3.request("POST", f"{started['url']}/_mlinfra/status").status == 200


@pytest.mark.thorough
def test_stopping_ends_what_it_started_and_forgets_its_environment(
    mlinfra, started: dict[str, Any], folder: Path, project: Path
):
    records = project / ".mlinfra" / "emulated" / "aws-emulated"
    records.mkdir(parents=True)
    shown = mlinfra("emulator", "stop", "-o", "json")
    assert (shown.code, shown.document["emulated"]) == (0, True)
    assert "[emulated]" in shown.err
    assert belonging(str(folder)) == []
    assert mlinfra("env", "show", "aws-emulated").code == 4
    assert not records.exists()
    assert not (folder / "run").exists()


def listens(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.thorough
def test_one_that_was_killed_is_told_and_cleaned_up_by_the_next(mlinfra, started: dict[str, Any], folder: Path):
    os.kill(started["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (manage.find(folder) or listens(started["url"])) and time.monotonic() < deadline:
        time.sleep(0.02)
    shown = mlinfra("job", "list", "-e", "aws-emulated")
    assert shown.code == 75, shown.err
    assert "mlinfra emulator start aws" in shown.err
    assert shown.err.splitlines()[1].startswith("[emulated] error:")
    assert mlinfra("emulator", "stop").code == 4
    left = folder / "run" / "left"
    left.mkdir(parents=True, exist_ok=True)
    again = mlinfra("emulator", "start", "aws", "-o", "json")
    assert (again.code, left.exists()) == (0, False)
    assert again.document["pid"] != started["pid"]


@pytest.mark.thorough
def test_what_a_stack_would_have_made_is_seeded(mlinfra, started: dict[str, Any], project: Path, cloud_document):
    document = {**cloud_document, "account": "111122223333", "stores": {"artefacts": {"uri": "s3://risk-artefacts"}}}
    (project / "dev.json").write_text(json.dumps(document))
    shown = mlinfra("emulator", "seed", "dev.json", "-o", "json")
    assert shown.code == 0, shown.err
    assert (shown.document["seeded"], shown.document["document"]["emulated"]) == ("aws-dev", True)
    assert mlinfra("env", "show", "aws-dev", "-o", "json").document["emulated"] is True
    mlinfra("emulator", "stop")
    assert mlinfra("env", "show", "aws-dev").code == 4


@pytest.mark.thorough
def test_seeding_hides_no_real_environment(mlinfra, started: dict[str, Any], project: Path, cloud_document):
    (project / "dev.json").write_text(json.dumps(cloud_document))
    assert mlinfra("env", "add", "dev.json").code == 0
    assert mlinfra("emulator", "seed", "dev.json").code == 5
    assert mlinfra("env", "show", "aws-dev", "-o", "json").document["emulated"] is False


def test_what_an_emulator_tells_of_itself_stays_with_its_environment():
    running = manage.Running("gcp", Path("/e"), "http://127.0.0.1:1", 1, "mark", "token")
    told = {"native": {"emulator": {"ca_file": "/e/ca.pem", "url": "http://127.0.0.1:9"}, "project_number": "1"}}
    native = marked_document(running, told)["native"]
    assert native["emulator"] == {"ca_file": "/e/ca.pem", "folder": "/e", "url": "http://127.0.0.1:1"}
    assert native["project_number"] == "1"
