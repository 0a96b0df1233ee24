"""Stacks in other people's projects: what `env init` writes, the example's own program, and where states lie."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from mlinfra.engine import sync
from mlinfra.infra.automation.bootstrap import PROJECT, bootstrap

if TYPE_CHECKING:
    from conftest import Clone

ROOT = Path(__file__).parents[2]
STACK = "local-dev"


@pytest.fixture
def project(clone: Clone) -> Clone:
    """A project of a user's own: nothing of the kit's in it."""
    for name in ("stacks", ".venv"):
        path = clone.folder / name
        path.unlink() if path.is_symlink() else shutil.rmtree(path)
    (clone.folder / "Pulumi.yaml").unlink()
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
        del clone.variables[name]
    return clone


@pytest.mark.slow
def test_what_init_writes_stands_up_in_a_project_of_ones_own(project: Clone):
    made = project.mlinfra("env", "init", "risk-dev", "--set", "slots=2", "-o", "json")
    assert made.code == 0, made.err
    assert made.document["files"] == ["Pulumi.yaml", "__main__.py", "local.py", "Pulumi.risk-dev.yaml"]
    up = project.mlinfra("env", "up", "risk-dev", "-o", "json")
    assert up.code == 0, up.err
    assert (project.folder / "infra" / ".mlinfra" / "stacks" / "risk-dev" / "buckets" / "artefacts").is_dir()
    again = project.mlinfra("env", "init", "risk-dev", "--set", "slots=3")
    assert again.code == 5
    second = project.mlinfra("env", "init", "risk-eu", "-o", "json")
    assert (second.code, second.document["files"]) == (0, ["Pulumi.risk-eu.yaml"])
    assert project.mlinfra("env", "destroy", "risk-dev", "--yes").code == 0


@pytest.mark.slow
def test_a_folder_for_the_state_is_made_and_written_down_for_everybody(project: Clone):
    assert project.mlinfra("env", "init", STACK).code == 0
    made = project.mlinfra("env", "bootstrap", STACK, "--folder", "states", "-o", "json")
    assert made.code == 0, made.err
    assert made.document["backend"] == "file://states"
    written = tomllib.loads((project.folder / "mlinfra.toml").read_text())["state"][STACK]
    assert written == {"backend": "file://states", "secrets": "passphrase"}
    assert project.mlinfra("env", "up", STACK).code == 0
    assert list((project.folder / "states" / ".pulumi" / "stacks").rglob(f"{STACK}.json"))
    assert project.mlinfra("env", "bootstrap", STACK, "--folder", "states").code == 0
    assert project.mlinfra("env", "destroy", STACK, "--yes").code == 0


@pytest.mark.slow
def test_the_state_of_a_states_place_moves_into_it(clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in clone.variables.items():
        monkeypatch.setenv(name, value)
    bucket, here = tmp_path / "bucket", tmp_path / "here"
    bucket.mkdir()
    program = sync.program(ROOT)
    assert program is not None

    def declare() -> None:
        pulumi.ComponentResource("test:index:Bucket", "bucket")
        pulumi.export("backend", f"file://{bucket}")
        pulumi.export("secrets", "passphrase")

    said: list[str] = []
    made = bootstrap("some-dev", declare, here, program, said.append)
    assert (made.backend, made.secrets) == (f"file://{bucket}", "passphrase")
    assert not here.exists()
    state = json.loads((bucket / ".pulumi" / "stacks" / PROJECT / "some-dev.json").read_text())
    assert "test:index:Bucket" in json.dumps(state)


@pytest.mark.slow
def test_components_work_in_anybodys_program(project: Clone):
    shutil.copytree(ROOT / "examples" / "own-program", project.folder / "own")
    state = project.folder / "state"
    state.mkdir()
    project.variables.update(
        PULUMI_BACKEND_URL=f"file://{state}", PULUMI_CONFIG_PASSPHRASE="", PULUMI_PYTHON_CMD=sys.executable
    )
    there = ("--cwd", "own", "--stack", "team")
    project.pulumi("stack", "init", *there)
    project.pulumi("up", "--yes", "--skip-preview", *there)
    exported: dict[str, Any] = json.loads(project.pulumi("stack", "output", "environments", "--json", *there))
    assert {name: each["tags"]["member"] for name, each in exported.items()} == {
        "sandbox-ann": "ann",
        "sandbox-bob": "bob",
    }
    assert all(Path(each["root"]).is_dir() for each in exported.values())
    project.pulumi("preview", "--expect-no-changes", *there)
    project.pulumi("destroy", "--yes", "--skip-preview", *there)
    assert not any(Path(each["root"]).exists() for each in exported.values())


@pytest.mark.slow
def test_an_emulated_stack_stands_up_and_goes_where_no_emulator_runs(project: Clone):
    project.variables["PYTHONWARNINGS"] = "error,ignore::DeprecationWarning"
    where = ("--set", "region=eu-west-1", "--set", "account=111122223333", "--set", "tags={Team: risk}")
    made = project.mlinfra("env", "init", "risk-dev", "--platform", "aws", "--set", "emulated=true", *where)
    assert made.code == 0, made.err
    up = project.mlinfra("env", "up", "risk-dev", "-o", "json")
    assert up.code == 0, up.err
    assert set(up.document["changes"]) == {"create"}
    gone = project.mlinfra("env", "destroy", "risk-dev", "--yes", "-o", "json")
    assert gone.code == 0, gone.err
    assert gone.document["changes"] == {"delete": up.document["changes"]["create"]}
