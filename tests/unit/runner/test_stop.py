from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Job, Server

# Says that it is ready, writes down each signal that it gets, and ends as it is told to.
LISTENER = """
import os, signal, sys, time
def note(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    if {ends!r}:
        sys.exit(3)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, note)
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def result_of(job: Job) -> dict[str, Any]:
    return json.loads((job.folder / "result/result.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command(
    job: Callable[..., Job], started: Callable[[Job], Any], number: signal.Signals
) -> None:
    ready = job(LISTENER.format(ends=True))
    process = started(ready)
    assert process.stdout.readline().startswith("ready")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert out == f"got {number.name}\n"
    assert process.returncode == 3
    assert result_of(ready)["status"] == "stopped"


def test_a_signal_reaches_what_a_shell_line_started(job: Callable[..., Job], started: Callable[[Job], Any]) -> None:
    process = started(job(LISTENER.format(ends=True), line='"$PYTHON" run.py; true', env={"PYTHON": "python3"}))
    assert process.stdout.readline().startswith("ready")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "got SIGTERM\n"


def test_a_command_that_does_not_stop_is_made_to(job: Callable[..., Job], started: Callable[[Job], Any]) -> None:
    ready = job(LISTENER.format(ends=False), user={"retries": 5})
    ready.variables["MLINFRA_GRACE"] = "0.3"
    process = started(ready)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 137
    assert result_of(ready)["status"] == "stopped"


def test_a_command_that_ends_well_when_asked_to_stop_keeps_its_outputs(
    job: Callable[..., Job], started: Callable[[Job], Any]
) -> None:
    script = LISTENER.format(ends=True).replace("sys.exit(3)", "open(sys.argv[1] + '/m', 'w'); sys.exit(0)")
    ready = job(script, command=["python", "run.py", "${{outputs.model}}"], outputs={"model": {"type": "model"}})
    process = started(ready)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert result_of(ready)["status"] == "stopped"
    assert result_of(ready)["outputs"]["model"]["files"] == 1


def test_when_the_runner_is_killed_so_is_the_command(job: Callable[..., Job], started: Callable[[Job], Any]) -> None:
    process = started(job(LISTENER.format(ends=False)))
    pid = int(process.stdout.readline().split()[1])
    process.kill()
    wait_until(lambda: not is_running(pid))


def test_what_a_command_leaves_running_ends_with_it(job: Callable[..., Job], tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], **quiet)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))"
    )
    assert job(script).run().exit_code == 0
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid))


@pytest.mark.thorough
def test_a_helper_that_holds_the_output_open_cannot_hold_the_job(job: Callable[..., Job], tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); print('done')"
    )
    ready = job(script)
    process = ready.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert process.wait(30) == 0
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        process.communicate()


def test_a_stop_while_inputs_are_brought_is_a_stop(
    job: Callable[..., Job], started: Callable[[Job], Any], server: Server
) -> None:
    def slow(_request: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(1)
        return 200, {}, b"x"

    server.answer = slow
    ready = job("print('ran')", inputs={"train": {"uri": f"{server.url}/a.csv"}})
    process = started(ready)
    wait_until(lambda: bool(server.asked))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("", 128 + signal.SIGTERM)
    result = result_of(ready)
    assert (result["status"], result["phase"]) == ("stopped", "inputs")
    assert not list((ready.folder / "work/inputs").rglob("*.csv"))
