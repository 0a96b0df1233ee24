"""What only a process shows: exit codes, streams, signals, and what is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 120  # seconds for a child that must end
SDKS = {"boto3", "botocore", "sagemaker", "google", "azure", "grpc", "obstore"}
HEAVY = {"pandas", "numpy", "pulumi", "sklearn"}

_LISTING = """
import json, sys
from mlinfra.cli.main import run
code = run(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _LISTING, *arguments], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules)


def tops(modules: set[str]) -> set[str]:
    """The packages that were loaded. Google's put their namespace into every process that could import them."""
    return {name.partition(".")[0] for name in modules if name not in {"google", "google.cloud", "google.logging"}}


def test_help_loads_next_to_nothing(project: Path):
    code, modules = loaded_by("--help")
    assert code == 0
    assert tops(modules) & (SDKS | HEAVY | {"pydantic", "rich", "ruamel", "sqlite3"}) == set()
    ours = {name for name in modules if name.startswith("mlinfra.") and name.split(".")[1] not in {"cli", "errors"}}
    assert ours == {"mlinfra.engine", "mlinfra.engine.folders"}


def test_planning_loads_no_sdk(project: Path, hello: Path):
    code, modules = loaded_by("plan", str(hello))
    assert code == 0
    assert tops(modules) & (SDKS | HEAVY | {"rich"}) == set()
    assert "mlinfra_local.client" not in modules


def test_data_goes_to_stdout_and_words_to_stderr(child, project: Path):
    shown = child("job", "list", "-o", "json")
    assert json.loads(shown.out)["jobs"] == []
    assert shown.err == "environment: local (default)\n"


@pytest.fixture
def nobody() -> Iterator[IO[bytes]]:
    """A pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        yield pipe


def test_a_reader_that_leaves_is_no_error(child, nobody, project: Path):
    shown = child("env", "list", stdout=nobody)
    assert (shown.code, shown.err) == (0, "")


def test_an_error_keeps_its_code_when_nobody_reads_it(child, nobody, project: Path):
    assert child("env", "show", "nowhere", "-o", "json", stdout=nobody, stderr=nobody).code == 4


def test_words_that_nobody_reads_stop_no_work(child, nobody, project: Path):
    shown = child("job", "list", "-o", "json", stderr=nobody)
    assert json.loads(shown.out)["jobs"] == []


@pytest.mark.thorough
def test_an_interrupted_wait_leaves_the_job_running_and_says_how_to_go_on(start, child, project: Path):
    (project / "sleep.yaml").write_text(
        "version: 1\nkind: job\nname: sleeper\ncommand: [python, -c, 'import time; time.sleep(300)']\n"
    )
    process = start("job", "submit", "sleep.yaml", "--wait", start_new_session=True)
    handle = ""
    try:
        for line in process.stderr:
            if ": running" in line:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everything in the foreground
                break
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (130, "")
        assert "Traceback" not in err
        handle = err.rpartition("mlinfra job wait ")[2].strip().rstrip("`")
        assert json.loads(child("job", "show", handle, "-o", "json").out)["job"]["state"] == "running"
    finally:
        process.kill()
        if handle:
            assert child("job", "stop", handle, "--yes").code == 0
