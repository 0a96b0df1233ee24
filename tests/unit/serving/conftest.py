"""Real servers in child processes on free loopback ports, over small models."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlinfra.modelkit import save_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 30.0  # seconds until a server that does not come up is a failure

APPLICANTS = {
    "inputs": {
        "age": {"type": "integer", "min": 18, "max": 120},
        "income": {"type": "number", "min": 0, "nullable": True},
        "home": {"type": "category", "values": ["rent", "owner", "other"], "nullable": True},
        "married": {"type": "boolean", "required": False, "nullable": True},
    }
}
SLOW = """
import time

def predict(rows):
    time.sleep(max(row["seconds"] for row in rows))
    return [row["seconds"] for row in rows]
"""
ODD = """
ANSWERS = {"nan": float("nan"), "infinity": float("inf"), "number": 1.5, "list": [1, None], "text": "a,b"}

def predict(rows):
    if any(row["want"] == "error" for row in rows):
        raise RuntimeError("as asked")
    if any(row["want"] == "short" for row in rows):
        return []
    return [ANSWERS.get(row["want"], object()) for row in rows]
"""


class Answer:
    """One HTTP response, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.lines: list[dict[str, Any]] = []

    def call(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, target, data, {name.replace("_", "-"): value for name, value in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, body: Any, target: str = "/invocations", **headers: str) -> Answer:
        return self.call("POST", target, body, **headers)

    def get(self, target: str) -> Answer:
        return self.call("GET", target)

    def predict(self, rows: Any) -> Any:
        answer = self.post({"instances": rows})
        assert answer.status == 200, answer.body
        return answer.json["predictions"]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def raw(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes, read until the server closes, or until one answer is there and nothing more comes."""
        with self.connect() as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def event(self, name: str) -> dict[str, Any]:
        """The next line of the log with that event."""
        for line in self.process.stdout or ():
            if line.startswith("{"):
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == name:
                    return self.lines[-1]
        raise AssertionError(f"no {name} in {self.lines}")

    def metric(self, name: str, labels: str = "") -> float:
        text = self.get("/metrics").body.decode()
        wanted = f"mlinfra_serving_{name}"
        found = [line for line in text.splitlines() if line.startswith(wanted) and labels in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def read_all(connection: socket.socket, quiet: float = 0.3) -> bytes:
    """What comes until the other side closes, or is quiet after it has said something."""
    received = b""
    while True:
        try:
            piece = connection.recv(1 << 16)
        except TimeoutError:
            return received
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece
        connection.settimeout(quiet)


@contextmanager
def running(
    model: Path | None,
    *options: str,
    env: dict[str, str] | None = None,
    wait: bool = True,
    python: Path | str = sys.executable,
) -> Iterator[Server]:
    arguments = [str(python), "-m", "mlinfra.serving", "--port", "0", *options]
    if model is not None:
        arguments += ["--model", str(model)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    server = Server(process, 0)
    try:
        server.port = server.event("listening")["port"]
        if wait:
            server.event("ready")
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture(scope="session")
def start() -> Callable[..., Any]:
    return running


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders numbers, chances, applicants, slow, odd, each a model package."""
    root = tmp_path_factory.mktemp("packages")
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(300, 4))
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, (matrix[:, 0] > 0).astype(int))
    save_model(linear, root / "numbers", example=matrix)
    bounded = {f"x{index}": {"type": "number", "min": -100, "max": 100} for index in range(4)}
    save_model(linear, root / "chances", example=matrix, schema={"inputs": bounded}, method="predict_proba")
    _save_applicants(root / "applicants", rng)
    for name, source, example in (("slow", SLOW, {"seconds": 0.001}), ("odd", ODD, {"want": "number"})):
        (root / f"{name}.py").write_text(source)
        save_model(root / f"{name}.py", root / name, example=[example])
    return root


def _save_applicants(folder: Path, rng: np.random.Generator) -> None:
    homes = ["rent", "owner", "other", None]
    rows = [
        [int(rng.integers(18, 90)), float(rng.normal(2000, 100)), homes[rng.integers(4)], bool(rng.integers(2))]
        for _ in range(300)
    ]
    for row in rows[::9]:
        row[1] = np.nan
    example = np.array(rows, dtype=object)
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]),
            ("words", OneHotEncoder(handle_unknown="ignore"), [2]),
        ]
    )
    truth = ["good" if row[0] > 50 else "bad" for row in rows]
    model = make_pipeline(columns, LogisticRegression()).fit(example, truth)
    save_model(model, folder, example=example, schema=APPLICANTS, name="applicants")


@pytest.fixture(scope="session")
def numbers(packages: Path) -> Iterator[Server]:
    with running(packages / "numbers", "--name", "numbers") as server:
        yield server


@pytest.fixture(scope="session")
def chances(packages: Path) -> Iterator[Server]:
    with running(packages / "chances") as server:
        yield server


@pytest.fixture(scope="session")
def applicants(packages: Path) -> Iterator[Server]:
    with running(packages / "applicants", "--name", "applicants") as server:
        yield server


@pytest.fixture(scope="session")
def odd(packages: Path) -> Iterator[Server]:
    with running(packages / "odd") as server:
        yield server
