"""`kill -9` of the command line at any moment: the job goes on, and the same command finishes the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.testing.projects import write_project

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """
version: 1
kind: job
name: train
command: [python, slow_train.py, "${{inputs.data}}", "${{outputs.model}}", "0.9"]
inputs: {data: data.csv}
outputs: {model: {type: model}}
metrics: {auc: {goal: max}}
register: {output: model, name: slopes, when: {auc: ">= 0.8"}}
resources: {max_runtime: 2m}
"""


@pytest.fixture
def project(project: Path) -> Path:
    write_project(project)
    slow = "import time\ntime.sleep(1)\n" + (project / "train.py").read_text()
    (project / "slow_train.py").write_text(slow)
    (project / "train.yaml").write_text(SPEC)
    return project


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlinfra.cli.main", *arguments, "-o", "json"]


def run(*arguments: str) -> dict[str, Any]:
    finished = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    document: dict[str, Any] = json.loads(finished.stdout)
    return document


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0])
def test_a_killed_submission_is_finished_by_the_same_command(project: Path, seconds: float):
    client = subprocess.Popen(
        command("job", "submit", "train.yaml", "--wait"),
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()

    submitted = run("job", "submit", "train.yaml", "--wait")

    assert submitted["job"]["state"] == "succeeded"
    assert submitted["job"]["attempt"] == 1
    assert len(run("job", "list")["jobs"]) == 1
    versions = run("model", "list", "slopes")["versions"]
    assert [(each["name"], each["lineage"]["job"]) for each in versions] == [("slopes:1", submitted["job"]["id"])]


@pytest.mark.thorough
def test_after_the_kill_waiting_reports_the_end_and_does_what_is_due(project: Path):
    client = subprocess.Popen(
        command("job", "submit", "train.yaml", "--wait"),
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert client.stderr is not None
    while "submitted" not in client.stderr.readline():
        assert client.poll() is None
    os.killpg(client.pid, signal.SIGKILL)
    client.stderr.close()
    client.wait()

    (job,) = run("job", "list")["jobs"]
    waited = run("job", "wait", job["id"])

    assert [each["state"] for each in waited["jobs"]] == ["succeeded"]
    assert [each["name"] for each in run("model", "list", "slopes")["versions"]] == ["slopes:1"]


@pytest.mark.thorough
def test_two_processes_at_once_make_one_job(project: Path):
    clients = [
        subprocess.Popen(command("job", "submit", "train.yaml"), cwd=project, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    documents = [json.loads(client.communicate()[0]) for client in clients]
    assert len({document["job"]["handle"] for document in documents}) == 1
    assert len(run("job", "list")["jobs"]) == 1
    run("job", "wait", documents[0]["job"]["id"])
