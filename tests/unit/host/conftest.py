from __future__ import annotations

import base64
import http.client
import json
import socket
import sys
import time
from pathlib import Path

import pytest

from mlinfra.errors import NotFound
from mlinfra.host import Host, processes

STAND_IN = Path(__file__).with_name("stand_in.py")
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
    left = [pid for pid in processes.belonging(str(folder)) if processes.mark(pid)]
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


class EndpointRig:
    """A host with one endpoint, `e`, and the few words that the tests of endpoints use."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.call = host.call
        self.until = until

    def create(self, **body):
        self.call("CreateEndpoint", {"endpoint": "e", "drain_timeout": 10.0, **body})
        return until(lambda: (found := self.describe())["url"] and found, "the gateway listens")

    def describe(self):
        return self.call("DescribeEndpoint", {"endpoint": "e"})

    def deploy(self, name, *options, wait=True, **body):
        argv = ["{python}", str(STAND_IN), "--port", "{port}", "--name", name, *options]
        self.call("CreateDeployment", {"endpoint": "e", "deployment": name, "argv": argv, "stop_grace": 5.0, **body})
        return self.deployment_in(name, "ready") if wait else None

    def deployment(self, name):
        return next((found for found in self.describe()["deployments"] if found["deployment"] == name), None)

    def deployment_in(self, name, state):
        return until(lambda: (found := self.deployment(name))["state"] == state and found, f"{name} is {state}")

    def traffic(self, **shares):
        self.update(traffic=shares)

    def update(self, **changes):
        self.call("UpdateEndpoint", {"endpoint": "e", **changes})
        until(lambda: self.describe()["state"] == "ready", "the gateway follows")

    @property
    def port(self):
        return int(self.describe()["url"].rpartition(":")[2])

    def ask(self, deployment=None, body=b"{}", **more):
        """One prediction through the host's own operation: status and document."""
        pinned = {"deployment": deployment} if deployment else {}
        content = base64.b64encode(body).decode()
        reply = self.call("InvokeEndpoint", {"endpoint": "e", "body": content, **pinned, **more})
        return reply["status"], json.loads(base64.b64decode(reply["body"]))

    def connect(self):
        """A connection of `http.client` to the gateway."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def raw(self, *parts, pause=0.0):
        """Send bytes as they are and read until the gateway hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            for part in parts:
                try:
                    connection.sendall(part)
                except OSError:
                    break
                time.sleep(pause)
            received = b""
            try:
                while data := connection.recv(65536):
                    received += data
            except ConnectionResetError:
                pass
            return received

    def counted(self, name, requests, since="2026-01-01T00:00:00Z"):
        """The deployment's metrics once so many requests have been counted."""
        body = {"endpoint": "e", "deployment": name, "since": since}
        return until(
            lambda: (found := self.call("GetDeploymentMetrics", body))["requests"] >= requests and found,
            f"{requests} requests are counted",
        )

    def log(self, deployment=None):
        body = {"endpoint": "e", "limit": 10_000, **({"deployment": deployment} if deployment else {})}
        return [line["text"] for line in self.call("GetEndpointLogs", body)["lines"]]

    def gone(self):
        """Wait until nothing of the endpoint is left."""

        def absent():
            try:
                self.describe()
            except NotFound:
                return not list(self.host.root.glob("endpoints/*")) and not list(self.host.root.glob("trash/*"))
            return False

        return until(absent, "the endpoint is gone")


@pytest.fixture
def endpoint(host):
    rig = EndpointRig(host)
    yield rig
    try:
        rig.call("DeleteEndpoint", {"endpoint": "e"})
    except NotFound:
        return
    rig.gone()


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """One endpoint with one deployment for all the tests of a file; its body limit is small enough to be met."""
    with Host(tmp_path_factory.mktemp("door") / "host") as opened:
        rig = EndpointRig(opened)
        rig.create(max_body_bytes=100_000, timeout=5.0)
        rig.deploy("main")
        rig.traffic(main=100)
        yield rig
        rig.call("DeleteEndpoint", {"endpoint": "e"})
        rig.gone()
