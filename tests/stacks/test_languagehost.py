"""Our language host, spoken to as the engine speaks to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pulumi.runtime.proto import language_pb2
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeStub

from mlinfra.engine.liveness import is_alive
from mlinfra.infra.automation.languagehost import EXECUTOR_VARIABLE, interpreter, plugin, program

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 120.0  # s on a busy machine


def info(folder: Path, **options: str) -> Any:
    made = language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder / "stacks"), entry_point="."
    )
    made.options.update(options)
    return made


def test_a_program_is_run_in_the_words_of_the_vendors_executor(tmp_path: Path):
    request = language_pb2.RunRequest(
        project="p", stack="s", monitor_address="m:1", dryRun=True, parallel=4, info=info(tmp_path), organization="o"
    )
    command = program(request, "e:2", Path("/bin/exec"))
    assert command[1:3] == ["-u", "/bin/exec"]
    assert command[-1] == str(tmp_path / "stacks")
    told = dict(zip(command[3:-1:2], command[4:-1:2], strict=True))
    assert told == {
        "--project": "p",
        "--stack": "s",
        "--monitor": "m:1",
        "--engine": "e:2",
        "--organization": "o",
        "--parallel": "4",
        "--root_directory": str(tmp_path),
        "--pwd": str(tmp_path / "stacks"),
        "--dry_run": "true",
    }


def test_the_interpreter_is_the_one_that_the_project_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PULUMI_PYTHON_CMD", raising=False)
    assert interpreter(info(tmp_path)) == sys.executable
    assert interpreter(info(tmp_path, virtualenv="venv")) == sys.executable  # named, and not there
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert interpreter(info(tmp_path, virtualenv="venv")) == str(python)
    monkeypatch.setenv("PULUMI_PYTHON_CMD", "/opt/python")
    assert interpreter(info(tmp_path)) == "/opt/python"


@pytest.mark.parametrize("arguments", [["e:2"], ["e:2", "."], ["e:2", ".", "-v=3"]])
def test_a_policy_pack_is_run_by_the_sdks_module(tmp_path: Path, arguments: list[str]):
    request = language_pb2.RunPluginRequest(kind="analyzer", args=arguments, info=info(tmp_path))
    command = plugin(request)
    assert command[1:6] == ["-u", "-m", "pulumi.policy", "e:2", str(tmp_path / "stacks")]
    assert command[6:] == arguments[2:]


@pytest.fixture
def engine() -> Iterator[socket.socket]:
    """Somebody who listens where an engine would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def host(engine: socket.socket) -> Iterator[subprocess.Popen[str]]:
    """The host as the engine starts it: in a process group of its own."""
    command = [sys.executable, "-u", "-m", "mlinfra.infra.automation.languagehost"]
    process = subprocess.Popen(
        [*command, f"127.0.0.1:{engine.getsockname()[1]}"],
        env={**os.environ, EXECUTOR_VARIABLE: "/nowhere"},
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    yield process
    process.kill()
    process.communicate()


def stub(host: subprocess.Popen[str]) -> Any:
    assert host.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(host.stdout.readline())}")
    return LanguageRuntimeStub(channel)  # type: ignore[no-untyped-call]


@pytest.mark.thorough
def test_what_a_plugin_prints_is_streamed_with_its_exit_code(tmp_path: Path, host: subprocess.Popen[str]):
    folder = tmp_path / "stacks"
    folder.mkdir()
    (folder / "__main__.py").write_text("import os, sys\nprint('port', os.environ['GIVEN'])\nsys.exit(3)\n")
    request = language_pb2.RunPluginRequest(kind="resource", pwd=str(tmp_path), env=["GIVEN=7=7"], info=info(tmp_path))
    answers = list(stub(host).RunPlugin(request, timeout=PATIENCE))
    assert b"".join(answer.stdout for answer in answers) == b"port 7=7\n"
    assert answers[-1].exitcode == 3


@pytest.mark.thorough
def test_the_host_ends_with_its_engine_and_takes_what_it_started_along(
    tmp_path: Path, engine: socket.socket, host: subprocess.Popen[str]
):
    folder = tmp_path / "stacks"
    folder.mkdir()
    (folder / "__main__.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    request = language_pb2.RunPluginRequest(kind="resource", pwd=str(tmp_path), info=info(tmp_path))
    started = int(next(iter(stub(host).RunPlugin(request, timeout=PATIENCE))).stdout)
    engine.close()
    host.wait(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while is_alive(started) and Path(f"/proc/{started}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)
