from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.errors import CapabilityError
from mlinfra.host import Image, interpreters
from mlinfra.host.commands import inherited, threads, with_python_first
from mlinfra.host.plan import InterpreterPlan

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def another_python(tmp_path, monkeypatch):
    """A machine that also has a Python 3.98, without any packages."""
    home = tmp_path / "home"
    program = home / ".pyenv/versions/3.98.1/bin/python3.98"
    program.parent.mkdir(parents=True)
    told = json.dumps({"path": [], "markers": {"python_version": "3.98"}})
    program.write_text(f"#!/bin/sh\necho '{told}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    return program


def test_without_a_wish_the_kits_own_interpreter_runs_the_work():
    assert interpreters.resolve(None, None, None, {}).path == sys.executable
    assert interpreters.resolve(RUNNING, None, None, {}).path == sys.executable


def test_another_version_is_found_where_pythons_live(another_python):
    assert interpreters.resolve("3.98", None, None, {}).path == str(another_python)
    assert {"3.98", RUNNING} <= set(interpreters.versions_at_hand())


def test_packages_that_are_at_hand_need_no_environment():
    installed = interpreters.resolve(None, "pydantic>=2\n", None, {})
    assert installed.path == sys.executable


def test_packages_that_are_not_at_hand_need_an_environment(another_python):
    plan = interpreters.resolve("3.98", "no-such-package==1.0\n", None, {})
    assert (plan.path, plan.version, plan.lock) == ("", "3.98", "no-such-package==1.0\n")


def test_an_image_is_a_version_and_packages(another_python):
    images = {"train:1": Image("3.98", "no-such-package==1.0\n"), "plain": Image("3.98")}
    assert interpreters.resolve(None, None, "plain", images).path == str(another_python)
    assert interpreters.resolve(None, None, "train:1", images).lock == "no-such-package==1.0\n"
    assert interpreters.resolve(None, "other==2\n", "train:1", images).lock == "other==2\n"
    with pytest.raises(CapabilityError) as caught:
        interpreters.resolve(None, None, "train:2", images)
    assert caught.value.given == "train:2"
    assert caught.value.allowed == "plain, train:1"


def test_a_version_that_is_not_there_is_refused_with_those_that_are(another_python):
    with pytest.raises(CapabilityError) as caught:
        interpreters.resolve("3.97", None, None, {})
    assert "3.98" in caught.value.allowed


@pytest.fixture
def needs_an_environment(monkeypatch):
    """Every job and deployment of this test gets an environment made for it."""

    def choose(lock):
        plan = InterpreterPlan("", RUNNING, lock, "an environment is made")
        monkeypatch.setattr(interpreters, "resolve", lambda *_arguments: plan)

    return choose


@pytest.mark.thorough
def test_a_job_waits_for_its_environment(rig, needs_an_environment):
    needs_an_environment("")
    rig.python("made", "import sys; print(sys.prefix)")
    assert rig.end("made")["state"] == "succeeded", rig.describe("made")["reason"]
    assert rig.log("made")[0].startswith(str(rig.host.root / "interpreters"))


@pytest.mark.thorough
def test_an_environment_that_cannot_be_made_is_the_reason(rig, endpoint, needs_an_environment, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    needs_an_environment("no-such-package==1.0\n")
    rig.python("unmade", "print('ran')")
    job = rig.end("unmade")
    assert job["state"] == "failed"
    assert "no-such-package" in job["reason"]
    assert rig.log("unmade") == []
    endpoint.create()
    endpoint.deploy("a", wait=False)
    assert "no-such-package" in endpoint.deployment_in("a", "failed")["reason"]


def test_python_means_this_interpreter_though_its_folder_has_no_such_name(tmp_path):
    bare = tmp_path / "elsewhere" / "python3.98"
    bare.parent.mkdir()
    bare.write_text("#!/bin/sh\necho it is me\n")
    bare.chmod(0o755)
    environment = with_python_first({"PATH": os.defpath}, str(bare), tmp_path / "own")
    for name in ("python", "python3"):
        told = subprocess.run(["/bin/sh", "-c", name], env=environment, capture_output=True, text=True, check=True)
        assert told.stdout == "it is me\n"
    assert not list(bare.parent.glob("python3"))


def test_the_interpreters_own_folder_is_used_where_it_has_the_names(tmp_path):
    environment = with_python_first({"PATH": "/bin"}, sys.executable, tmp_path)
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert not list(tmp_path.iterdir())


def test_what_is_inherited_is_an_allow_list():
    kept = {"PATH": "/bin", "HOME": "/h", "https_proxy": "p", "UV_INDEX": "i", "LC_ALL": "C"}
    assert inherited({**kept, "AWS_PROFILE": "x", "GOOGLE_APPLICATION_CREDENTIALS": "y", "TOKEN": "z"}) == kept


def test_processors_are_told_to_the_numeric_libraries():
    assert threads(2.0)["OMP_NUM_THREADS"] == "2"
    assert threads(0.5)["OMP_NUM_THREADS"] == "1"
    assert threads(None) == {}
