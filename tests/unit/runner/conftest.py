from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.package import build_bundle
from mlinfra.runner import gcs, metrics, web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

# The runner must hold on the oldest Python it promises: RUNNER_PYTHON=…/python3.9 pytest tests/unit/runner
PYTHON = os.environ.get("RUNNER_PYTHON", sys.executable)
SCRIPTS = Path(__file__).parent / "scripts"


@dataclass
class Job:
    """A job ready to run as a platform runs it: a bundle, an interpreter, variables."""

    folder: Path
    code: dict[str, str] = field(default_factory=dict)
    lock: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        code = self.folder / "user-code"
        for path, text in self.code.items():
            (code / path).parent.mkdir(parents=True, exist_ok=True)
            (code / path).write_text(text)
        bundle = build_bundle(code, requirements_lock=self.lock, cache=self.folder / "cache")
        return [PYTHON, str(bundle.path), *self.arguments]

    def environment(self) -> dict[str, str]:
        document = {"version": 1, "run_id": "run-1", "attempt": 1, "environment": "local", "platform": "local"}
        return {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.folder),
            "MLINFRA_WORK": str(self.folder / "work"),
            "MLINFRA_RESULT": str(self.folder / "result"),
            "MLINFRA_MANIFEST_0": json.dumps({**document, **self.manifest}),
            **self.variables,
        }

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(), env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self) -> Done:
        done = subprocess.run(
            self.command(), env=self.environment(), capture_output=True, text=True, timeout=60, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr, Path(self.environment()["MLINFRA_RESULT"]))


@dataclass
class Done:
    """How a job ended."""

    exit_code: int
    out: str
    err: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def failure(self) -> str:
        return (self.folder / "failure").read_text()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """`job("text", inputs=...)` runs the text as a script, `line` as a shell line, or any `command`."""

    def make(script: str = "", line: str | None = None, **manifest: Any) -> Job:
        command = {"shell": line} if line else {"command": ["python", "run.py"]}
        return Job(tmp_path, {"run.py": script}, manifest={**command, **manifest})

    return make


@pytest.fixture
def started() -> Iterator[Callable[[Job], subprocess.Popen[str]]]:
    """Start a job without waiting; whatever the test does, nothing of it is left."""
    running: list[subprocess.Popen[str]] = []

    def start(job: Job) -> subprocess.Popen[str]:
        running.append(job.start())
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@dataclass
class Request:
    """What a server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Server:
    """An HTTP server on loopback whose answers a test scripts: `answer(request) -> (status, headers, body)`."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answer: Callable[[Request], tuple[int, dict[str, str], bytes]] = lambda _: (404, {}, b"")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def script(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        """Give these answers, and the last one for ever."""
        left = list(answers)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            request = Request(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
            server.asked.append(request)
            status, headers, body = server.answer(request)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a client that was stopped
                self.wfile.write(body)

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def log_message(self, *_arguments: object) -> None:
            """Tests are quiet."""

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        yield found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    seen: list[float] = []
    monkeypatch.setattr(web, "pause", seen.append)
    return seen


@pytest.fixture(autouse=True)
def _a_process_without_a_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runner remembers for one process must not pass from test to test."""
    monkeypatch.setattr(gcs, "_known", {})
    monkeypatch.setattr(metrics, "_said", set())
    monkeypatch.setattr(metrics, "_quiet_until", {})
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "STORAGE_EMULATOR_HOST",
        "GCE_METADATA_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
