from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from mlinfra.host import Host, processes

PATIENCE = 30.0  # s; a test waits so long only when it is about to fail


def until(condition, what="", patience=PATIENCE):
    """The first true value of a condition."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"still not true: {what or condition}"
        time.sleep(0.02)


class JobRig:
    """A host with the few words that the tests of jobs use."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.call = host.call
        self.until = until

    def python(self, name, code, **body):
        """Submit a job that runs Python code."""
        return self.call("CreateJob", {"name": name, "argv": ["{python}", "-c", code], **body})

    def shell(self, name, line, **body):
        """Submit a job that runs a shell line."""
        return self.call("CreateJob", {"name": name, "argv": ["/bin/sh", "-c", line], **body})

    def describe(self, name):
        return self.call("DescribeJob", {"name": name})

    def end(self, name):
        """The job's description once it has ended."""
        return until(lambda: (job := self.describe(name))["ended"] and job, f"job {name} ends")

    def in_state(self, name, *states):
        return until(lambda: (job := self.describe(name))["state"] in states and job, f"job {name} is {states}")

    def log(self, name):
        """The texts of all lines of the nodes."""
        lines = self.call("GetJobLogs", {"name": name, "limit": 10_000})["lines"]
        return [line["text"] for line in lines if line["source"] != "host"]

    def said(self, name, text):
        """Wait until the job has printed a line."""
        return until(lambda: text in self.log(name), f"job {name} says {text!r}")

    def row(self, name):
        return self.host.jobs._table.row(name)

    def work(self, name):
        """Under which word the job's processes are known."""
        return str(self.host.root / "jobs" / name)


@pytest.fixture
def root(tmp_path):
    """A folder for a host, below which nothing may be left running."""
    folder = tmp_path / "host"
    yield folder
    left = [pid for pid in processes.table() if processes._work(pid).startswith(str(folder)) and processes.mark(pid)]
    processes.kill(left)
    until(lambda: not any(map(processes.mark, left)), "leftovers die")


@pytest.fixture
def host(root):
    with Host(root, slots=4) as opened:
        yield opened


@pytest.fixture
def rig(host):
    return JobRig(host)


@pytest.fixture
def nothing_runs():
    """Whether no process belongs to a piece of work, once its supervisor has had the moment that it needs to end."""

    def check(work: str) -> bool:
        return until(lambda: not [pid for pid in processes.belonging(work) if processes.mark(pid)], work, patience=5)

    return check


@pytest.fixture
def python():
    return Path(sys.executable)
