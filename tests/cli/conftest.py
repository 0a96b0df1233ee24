"""How the tests run the command line: in process for speed, as a child where only a process shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.cli.main import run as run_command

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds for a child that must end


@dataclass(frozen=True)
class Result:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def mlinfra(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line in this process."""

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = run_command(list(arguments))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start a command line as a process of its own, in which warnings are errors."""

    def begin(*arguments: str, variables: dict[str, str] | None = None, **streams: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "mlinfra.cli.main", *arguments],
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "100", **(variables or {})},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    return begin


@pytest.fixture
def child(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Result]:
    """Run a command line as a process of its own, to its end."""

    def run(*arguments: str, **options: Any) -> Result:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=PATIENCE)
        return Result(process.returncode, out or "", err or "")

    return run


@pytest.fixture
def hello(project: Path) -> Path:
    """The smallest job."""
    path = project / "hello.yaml"
    path.write_text("version: 1\nkind: job\nname: hello\ncommand: [python, -c, \"print('hello')\"]\n")
    return path


@pytest.fixture
def cloud_document() -> dict[str, Any]:
    """The document of an environment that exists nowhere."""
    return {"name": "aws-dev", "platform": "aws", "region": "eu-west-1", "account": "123456789012"}
