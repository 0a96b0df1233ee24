"""`mlinfra image`: what goes in, what is printed, what the environment keeps."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.cli.main import run
from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.modelkit.manifest import Manifest
from mlinfra.package import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def image(capsys: pytest.CaptureFixture[str], project: Path) -> Any:
    def command(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = run(["image", *arguments, "-o", "json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return command


@pytest.fixture(autouse=True)
def _no_logins_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def test_a_runner_image_is_pushed_and_kept(image: Any, served: Any, project: Path, tmp_path: Path):
    base = f"{served.host}/python:3.11"
    digest = served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    code, built, told = image("build", "--kind", "runner", "--base", base)
    assert (code, built["python"], built["base"]) == (0, "3.11", f"{served.host}/python@{digest}"), told
    assert "reading the base" in told
    assert "runner" not in served.store.manifests

    code, pushed, told = image("push", "--kind", "runner", "--base", base, "--to", f"{served.host}/runner")
    assert code == 0, told
    assert pushed["digest"] == built["digest"]
    assert pushed["image"] == f"{served.host}/runner@{pushed['digest']}"
    assert f"runner-{pushed['digest'][7:19]}" in served.store.manifests["runner"]
    kept = json.loads((project / ".mlinfra" / "environments" / "local.json").read_text())
    assert kept["images"] == {"runner": {"uri": pushed["image"], "python": "3.11"}}

    again = image("push", "--kind", "runner", "--base", base, "--to", f"{served.host}/runner:other")[1]
    assert (again["sent"], again["digest"]) == (0, pushed["digest"])
    assert "other" in served.store.manifests["runner"]


def test_base_and_registry_come_from_the_environment(image: Any, served: Any, project: Path, tmp_path: Path):
    served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base", Env=[])
    document = {
        "platform": "local",
        "name": "local",
        "root": str(project),
        "images": {"base": {"uri": f"{served.host}/python:3.11", "python": "3.11"}},
        "registries": {"images": f"{served.host}/team"},
    }
    kept = project / ".mlinfra" / "environments" / "local.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(document))
    code, pushed, told = image("push", "--kind", "runner")
    assert code == 0, told
    assert pushed["image"].startswith(f"{served.host}/team/runner@sha256:")
    assert set(json.loads(kept.read_text())["images"]) == {"base", "runner"}


def test_a_document_brought_by_a_variable_is_left_alone(
    image: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    file = tmp_path / "there.json"
    file.write_text(json.dumps({"platform": "local", "name": "ci-env", "root": str(tmp_path)}))
    monkeypatch.setenv("MLINFRA_ENVIRONMENT_FILE", str(file))
    before = file.read_text()
    arguments = ["--kind", "runner", "--base", f"{served.host}/python:3.11", "--to", f"{served.host}/x:1"]
    code, pushed, told = image("push", *arguments)
    assert (code, file.read_text()) == (0, before)
    assert pushed["image"] in told


def test_a_password_comes_on_stdin(image: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    served.store.basic = "me:secret"
    served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    arguments = ["build", "--kind", "runner", "--base", f"{served.host}/python:3.11"]
    assert image(*arguments)[1]["error"]["code"] == "Denied"
    assert image(*arguments, "--user", "me")[1]["error"]["code"] == "UsageError"
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    code, _, told = image(*arguments, "--user", "me", "--password-stdin")
    assert (code, "secret" in told) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["build"], 2, "--base"),
        (["push", "--base", "a.b/c:1"], 2, "--to"),
        (["push", "--base", "a.b/c:1", "--to", f"a.b/c@sha256:{'a' * 64}"], 2, "under a tag"),
        (["build", "--base", "A.b/C:1"], 2, "image reference"),
        (["build", "--base", "127.0.0.1:1/absent:1"], 75, "gives no answer"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(
    image: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, word: str
):
    monkeypatch.setattr("mlinfra.images.registry._PAUSE", 0.0)
    found, document, _ = image(*arguments)
    assert found == document["error"]["exit_code"] == code
    assert word in json.dumps(document["error"])


def test_the_servers_own_requirements_file_is_taken(image: Any, served: Any, tmp_path: Path):
    served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    file = tmp_path / "requirements.txt"
    file.write_text("# none\n\n")
    arguments = ["--kind", "runner", "--base", f"{served.host}/python:3.11"]
    plain = image("build", *arguments)[1]
    assert image("build", *arguments, "--requirements", str(file))[1]["digest"] == plain["digest"]


def test_a_model_of_another_python_is_told(image: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    served.put_base("python:3.12", {"usr/bin/python3": b"x"}, tmp_path / "base", Env=["PYTHON_VERSION=3.12.1"])
    Manifest(format="sklearn", entry="m", python="3.11", requirements=("tiny==1.0",)).write(tmp_path)
    monkeypatch.setattr("mlinfra.images.build.lock_for", lambda *_: Lock.of("tiny==1.0\n"))
    monkeypatch.setattr("mlinfra.images.build.unpacked", lambda *_: tmp_path / "base")
    arguments = ["build", "--kind", "runner", "--base", f"{served.host}/python:3.12", "--model", str(tmp_path)]
    code, built, told = image(*arguments)
    assert (code, built["packages"], built["python"]) == (0, ["tiny==1.0"], "3.12"), told
    assert "trained with Python 3.11" in told


# logging in by the platform's own word


@pytest.fixture
def emulated(project: Path, tmp_path: Path) -> Iterator[str]:
    """The project's environment in an emulated AWS; its name."""
    with AwsEmulator(tmp_path / "emulator", Settings(delays_scale=0.0, quotas=False)) as emulator:
        environment = emulator.environment(images={})
        kept = project / ".mlinfra" / "environments" / f"{environment.name}.json"
        kept.parent.mkdir(parents=True)
        kept.write_text(environment.model_dump_json())
        yield environment.name


def test_an_emulated_ecr_is_logged_in_to_without_a_word(image: Any, emulated: str, served: Any, tmp_path: Path):
    served.store.basic = "AWS:111122223333-auth-token"
    served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    arguments = ["--kind", "runner", "--base", f"{served.host}/python:3.11", "-e", emulated]
    code, built, told = image("build", *arguments)
    assert code == 0, told
    code, pushed, told = image("push", *arguments, "--to", f"{served.host}/mlinfra/runner")
    assert code == 0, told
    assert pushed["digest"] == built["digest"]
    assert "auth-token" not in told


def test_an_emulated_environment_pushes_to_this_machine_alone(image: Any, emulated: str, served: Any, tmp_path: Path):
    served.put_base("python:3.11", {"usr/bin/python3": b"x"}, tmp_path / "base")
    base = f"{served.host}/python:3.11"
    code, document, _ = image("push", "--kind", "runner", "--base", base, "-e", emulated)
    assert code == 2
    assert "beyond this machine" in document["error"]["what"]
    assert ".dkr.ecr." in document["error"]["given"]
