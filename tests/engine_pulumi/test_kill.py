"""`kill -9` of an `up` at each resource: the next one says what is pending, settles it and ends clean."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.engine.liveness import is_alive

if TYPE_CHECKING:
    import subprocess

    from conftest import Clone

STACK = "local-dev"
PATIENCE = 240.0  # s on a busy machine
PLUGIN = "pulumi-resource-pulumi-python"


def wait_for(what: str, condition: object, process: subprocess.Popen[str] | None = None) -> None:
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def begun(marker: Path) -> bool:
    return marker.is_file() and bool(marker.read_text())


def stand_still_at(clone: Clone, tmp_path: Path, resource: str, moment: str) -> tuple[subprocess.Popen[str], int]:
    """An `up` that stands still in the create of a resource, and the plugin's process id."""
    marker, folder = tmp_path / "marker", tmp_path / "slow"
    folder.mkdir()
    script = Path(__file__).with_name("slow_plugin.py")
    plugin = folder / PLUGIN
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -u {script} {marker} {resource} {moment} "$@"\n')
    plugin.chmod(0o755)
    path = os.pathsep.join((str(folder), clone.variables["PATH"]))
    process = clone.start("pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--stack", STACK, PATH=path)
    wait_for(f"the create of {resource}", lambda: begun(marker), process)
    return process, int(marker.read_text())


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("resource", ["folder", "artefacts", "data"])
def test_the_next_up_settles_what_a_killed_one_left(clone: Clone, tmp_path: Path, resource: str, moment: str):
    clone.pulumi("stack", "init", STACK)
    process, plugin = stand_still_at(clone, tmp_path, resource, moment)
    started = children(process.pid)
    process.kill()
    process.communicate()
    hosts = [pid for pid in started if pid != plugin]
    wait_for("the language host to end with its engine", lambda: not any(map(is_alive, hosts)))
    os.kill(plugin, signal.SIGKILL)
    done = clone.mlinfra("env", "up", STACK, "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert f"local-dev-{resource}" in "".join(done.document["settled"])
    assert f"process {process.pid}" in done.err
    assert "taken over: that process is gone" in done.err
    assert len(clone.resources()) == 4
    assert sorted(path.name for path in (clone.environment / "buckets").iterdir()) == ["artefacts", "data"]
    clone.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", STACK)
    clone.pulumi("destroy", "--yes", "--skip-preview", "--stack", STACK)
    assert not clone.environment.exists()


@pytest.mark.slow
def test_a_living_owners_lock_is_respected_and_named(clone: Clone, tmp_path: Path):
    clone.pulumi("stack", "init", STACK)
    process, plugin = stand_still_at(clone, tmp_path, "folder", "before")
    try:
        refused = clone.mlinfra("env", "up", STACK, "--yes", "-o", "json")
        assert refused.code == 5
        told = refused.document["error"]
        assert f"process {process.pid}" in told["given"]
        assert "somebody else is at work" in told["what"]
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
        os.kill(plugin, signal.SIGKILL)


@pytest.mark.slow
def test_another_machines_lock_is_never_taken_over(standing: Clone):
    locks = standing.folder / ".mlinfra" / "pulumi" / ".pulumi" / "locks" / "organization" / "mlinfra" / STACK
    locks.mkdir(parents=True, exist_ok=True)
    lock = locks / "0b4f9b6e-8f5b-4b8e-9d0b-7a3f0f1d2c3e.json"
    owner = {"pid": 1, "username": "somebody", "hostname": "elsewhere", "timestamp": "2026-01-02T03:04:05Z"}
    lock.write_text(json.dumps(owner))
    refused = standing.mlinfra("env", "up", STACK, "--yes", "-o", "json")
    assert refused.code == 5
    assert "somebody@elsewhere, process 1, for" in refused.document["error"]["given"]
    assert lock.is_file()
