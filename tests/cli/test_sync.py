"""`env sync` and the freshness of what it kept, with a stand-in for the program `pulumi`."""

from __future__ import annotations

import json
import stat
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_PULUMI = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
answer = json.loads((folder / "answer.json").read_text())
if answer.get("error"):
    sys.exit(sys.stderr.write(answer["error"]) and 255)
print(json.dumps(answer[sys.argv[2]]))
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program of that name; returns how to say what it answers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "pulumi"
    program.write_text(_PULUMI.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))

    def answer(**content: object) -> Path:
        (folder / "answer.json").write_text(json.dumps(content))
        return folder / "calls"

    return answer


def test_a_stacks_output_is_kept_with_its_update(mlinfra, project: Path, pulumi, cloud_document):
    calls = pulumi(output=cloud_document, history=[{"version": 7, "kind": "update"}])
    shown = mlinfra("env", "sync", "aws-dev", "-o", "json")
    assert shown.document == {"schema": 1, "synced": "aws-dev", "stack": "aws-dev", "update": 7}
    assert calls.read_text().splitlines() == [
        "stack output environment --json --stack aws-dev --non-interactive --color never",
        "stack history --json --stack aws-dev --page-size 1 --non-interactive --color never",
    ]
    assert mlinfra("env", "show", "aws-dev", "-o", "json").document["stack"] == {
        "name": "aws-dev",
        "update": 7,
        "folder": str(project),
    }


def test_a_later_sync_takes_the_place_of_the_earlier(mlinfra, project: Path, pulumi, cloud_document):
    pulumi(output=cloud_document, history=[{"version": 7}])
    mlinfra("env", "sync", "aws-dev")
    pulumi(output={**cloud_document, "stage": "staging"}, history=[{"version": 8}])
    assert mlinfra("env", "sync", "aws-dev").code == 0
    assert mlinfra("env", "show", "aws-dev", "-o", "json").document["document"]["stage"] == "staging"


def test_images_that_were_pushed_since_stay(mlinfra, project: Path, pulumi, cloud_document):
    base = {"uri": "registry/base@sha256:1"}
    pulumi(output={**cloud_document, "images": {"base": base}}, history=[{"version": 7}])
    mlinfra("env", "sync", "aws-dev")
    kept = project / ".mlinfra" / "environments" / "aws-dev.json"
    document = json.loads(kept.read_text())
    pushed = {"uri": "registry/serving@sha256:2"}
    kept.write_text(json.dumps({**document, "images": {"base": {"uri": "registry/old"}, "serving": pushed}}))
    mlinfra("env", "sync", "aws-dev")
    images = mlinfra("env", "show", "aws-dev", "-o", "json").document["document"]["images"]
    assert images == {"base": base, "serving": pushed}


def test_the_doctor_tells_a_stale_document(mlinfra, project: Path, pulumi, cloud_document):
    pulumi(output=cloud_document, history=[{"version": 7}])
    mlinfra("env", "sync", "aws-dev")
    pulumi(output=cloud_document, history=[{"version": 9}])
    checks = mlinfra("env", "doctor", "aws-dev", "-o", "json").document["checks"]
    found = next(each for each in checks if each["name"] == "document")
    assert found["verdict"] == "failed"
    assert found["detail"] == "the document is of update 7 of stack aws-dev, which is at 9"
    assert found["fix"] == "mlinfra env sync aws-dev"


def test_without_pulumi_it_says_what_else_works(mlinfra, project: Path, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = mlinfra("env", "sync", "aws-dev")
    assert shown.code == 2
    assert "mlinfra env add FILE" in shown.err


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("error: no stack named 'aws-dev' found", 4, "there is no such stack"),
        ("error: current stack does not have output property 'environment'", 4, "pulumi up --stack aws-dev"),
        ("error: passphrase must be set", 75, "passphrase must be set"),
    ],
)
def test_what_pulumi_refuses_is_told(mlinfra, project: Path, pulumi, *, said: str, code: int, told: str):
    pulumi(error=said)
    shown = mlinfra("env", "sync", "aws-dev")
    assert shown.code == code
    assert told in shown.err
    assert not (project / ".mlinfra" / "environments").exists()


def test_an_environment_of_another_name_is_refused(mlinfra, project: Path, pulumi, cloud_document):
    pulumi(output={**cloud_document, "name": "other"}, history=[])
    shown = mlinfra("env", "sync", "aws-dev")
    assert shown.code == 2
    assert "another name" in shown.err


def test_removing_forgets_where_it_came_from(mlinfra, project: Path, pulumi, cloud_document):
    pulumi(output=cloud_document, history=[{"version": 7}])
    mlinfra("env", "sync", "aws-dev")
    mlinfra("env", "remove", "aws-dev", "--yes")
    assert list((project / ".mlinfra" / "environments").iterdir()) == []
