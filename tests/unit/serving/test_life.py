"""Starting, being ready, being overloaded, being told to stop; one process or several."""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.modelkit import Manifest
from mlinfra.serving import worker
from mlinfra.serving.capture import read

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = {"instances": [[1, 0, 0, 0]]}


def fails(*options: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and the error in the log of a server that does not come up."""
    command = [sys.executable, "-m", "mlinfra.serving", "--port", "0", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(env or {})}
    )
    assert "Traceback" not in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (error,) = [line for line in lines if line["level"] == "error"]
    return done.returncode, error


def until(condition: Callable[[], Any], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_changed_model_is_never_served(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(packages / "numbers", folder)
    with (folder / "model.joblib").open("ab") as stream:
        stream.write(b"\0")
    code, line = fails("--model", str(folder))

    assert (code, line["code"]) == (1, "IntegrityError")
    assert "model.joblib" in line["message"]


def test_another_model_than_the_one_deployed_is_never_served(packages: Path) -> None:
    code, line = fails("--model", str(packages / "numbers"), "--digest", "sha256:0")

    assert (code, line["code"]) == (1, "IntegrityError")


def test_a_model_that_answers_its_example_differently_is_never_ready(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(packages / "numbers", folder)
    manifest = Manifest.read(folder)
    answers = [1 - label for label in manifest.example["predictions"]]
    dataclasses.replace(manifest, example={**manifest.example, "predictions": answers}).write(folder)
    code, line = fails("--model", str(folder))

    assert code == 1
    assert "does not answer its own example" in line["message"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "no model package was named"),
        (("--model", "/no/such/folder"), 4, "no such folder"),
        (("--model", str(Path(__file__).parent)), 4, "no mlinfra-model.json"),
        (("--model", "s3://bucket/model"), 75, "could not be brought here"),
    ],
)
def test_a_missing_model_ends_with_a_reason(options: tuple[str, ...], code: int, words: str) -> None:
    found, line = fails(*options, env={"AZUREML_MODEL_DIR": "", "AIP_STORAGE_URI": ""})

    assert found == code
    assert words in line["message"]


def test_a_taken_port_is_told(packages: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, line = fails("--model", str(packages / "numbers"), "--port", str(taken.getsockname()[1]))

    assert (code, line["code"]) == (75, "Unavailable")


def test_health_says_loading_until_the_model_answers(start: Any, packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(packages / "slow", folder)
    manifest = Manifest.read(folder)
    example = {"rows": [[0.7]], "predictions": [0.7]}
    dataclasses.replace(manifest, example=example).write(folder)
    with start(folder, "--capture", str(tmp_path / "capture"), wait=False) as server:
        health, predicted = server.get("/ping"), server.post({"instances": [[0.0]]})
        assert (health.status, health.json["reason"]) == (503, "loading")
        assert (predicted.status, predicted.headers["retry-after"]) == (503, "1")
        assert server.get("/v2/health/live").status == 200
        assert server.get("/metadata").status == 503
        server.event("ready")
        assert server.get("/ping").status == 200
        assert server.predict([[0.0]]) == [0.0]
        server.stop()
    assert [record["output"] for record in read(tmp_path / "capture")] == [[0.0]]


def test_an_example_without_predictions_is_said_to_be_unproved(start: Any, packages: Path, tmp_path: Path) -> None:
    with start(packages / "slow") as server:
        assert server.get("/metadata").json["example"].startswith("unproved")


@pytest.mark.thorough
def test_a_slow_model_is_shed_while_health_answers(start: Any, packages: Path) -> None:
    answers: list[tuple[int, dict[str, str]]] = []
    health: list[float] = []
    with start(packages / "slow", "--queue-length", "8") as server:
        server.predict([[0.03]])

        def ask() -> None:
            for _ in range(12):
                answer = server.post({"instances": [[0.03]]})
                answers.append((answer.status, answer.headers))

        threads = [threading.Thread(target=ask) for _ in range(24)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            started = time.perf_counter()
            assert server.get("/ping").status == 200
            health.append(time.perf_counter() - started)
            time.sleep(0.01)
        assert server.predict([[0.0]]) == [0.0]
        shed = server.metric("shed_total")
    refused = [headers for status, headers in answers if status == 503]

    assert {status for status, _ in answers} == {200, 503}
    assert len(refused) == shed
    assert all(int(headers["retry-after"]) >= 1 for headers in refused)
    assert sorted(health)[int(len(health) * 0.95)] < 0.1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_drain_under_load_loses_no_request(start: Any, packages: Path, workers: str) -> None:
    lost: list[Any] = []
    served = [0] * 8
    stop = threading.Event()

    def ask(port: int, number: int) -> None:
        body = json.dumps(ROWS).encode()
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.connect()
            except OSError:
                return  # the port is closed: nothing was sent
            try:
                while True:
                    connection.request("POST", "/invocations", body)
                    response = connection.getresponse()
                    good = response.status == 200 and response.read() == b'{"predictions":[1]}'
                    served[number] += good
                    if not good:
                        lost.append(response.status)
                    if response.getheader("connection") == "close":
                        break
            except Exception as exc:  # noqa: BLE001  whatever it is, a request was lost
                lost.append(repr(exc))
                return
            finally:
                connection.close()

    patient = ("--queue-seconds", "60", "--queue-length", "1000")  # a busy machine is no reason to shed here
    with start(packages / "numbers", "--workers", workers, *patient) as server:
        threads = [threading.Thread(target=ask, args=(server.port, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: min(served) > 20 or lost)
        assert server.stop() == 0
        stop.set()
        for thread in threads:
            thread.join(20)

    assert lost == []


def test_what_is_under_way_is_finished_when_told_to_stop(start: Any, packages: Path) -> None:
    with start(packages / "slow") as server:
        body = b'{"instances":[[0.6]]}'
        with server.connect() as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            until(lambda: server.metric("in_flight") == 1)
            server.process.send_signal(signal.SIGTERM)
            received = b"".join(iter(lambda: connection.recv(4096), b""))
        assert server.process.wait(10) == 0

    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in received


def test_a_client_that_never_ends_does_not_hold_up_the_stop(start: Any, packages: Path) -> None:
    with start(packages / "numbers", "--drain-timeout", "1") as server, server.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


def children(server: Any) -> list[int]:
    task = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in task.read_text().split()]


def test_workers_share_the_port_and_their_counters(start: Any, packages: Path) -> None:
    with start(packages / "numbers", "--workers", "2") as server:
        until(lambda: server.metric("ready") == 2)
        assert len(children(server)) == 2
        for _ in range(60):
            assert server.predict([[1, 0, 0, 0]]) == [1]
        assert server.metric("requests_total", 'code="200"') == 60
        assert server.metric("latency_seconds_count") == 60
        assert server.stop() == 0


@pytest.mark.thorough
def test_no_request_meets_a_worker_that_is_not_ready(start: Any, packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(packages / "slow", folder)
    dataclasses.replace(Manifest.read(folder), example={"rows": [[0.4]], "predictions": [0.4]}).write(folder)
    with start(folder, "--workers", "2") as server:
        until(lambda: server.metric("ready") == 2)
        os.kill(children(server)[0], signal.SIGKILL)
        until(lambda: len(children(server)) == 1)
        until(lambda: len(children(server)) == 2)
        for _ in range(100):
            assert server.predict([[0.0]]) == [0.0]


def test_a_worker_that_dies_is_replaced(start: Any, packages: Path) -> None:
    with start(packages / "numbers", "--workers", "2") as server:
        until(lambda: server.metric("ready") == 2)
        first = children(server)
        os.kill(first[0], signal.SIGKILL)
        assert server.predict([[1, 0, 0, 0]]) == [1]
        until(lambda: len(children(server)) == 2 and children(server) != first)
        until(lambda: server.metric("ready") == 2)
        assert server.stop() == 0
        assert not children_alive(first)


def children_alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_workers_that_cannot_serve_end_the_server(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(packages / "numbers", folder)
    manifest = Manifest.read(folder)
    answers = [1 - label for label in manifest.example["predictions"]]
    dataclasses.replace(manifest, example={**manifest.example, "predictions": answers}).write(folder)
    command = [sys.executable, "-m", "mlinfra.serving", "--port", "0", "--model", str(folder), "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "does not answer its own example" in done.stdout


def test_an_interrupt_stops_the_server_too(start: Any, packages: Path) -> None:
    with start(packages / "numbers") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0


def test_a_server_told_to_stop_while_loading_stops(start: Any, packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(packages / "slow", folder)
    manifest = Manifest.read(folder)
    dataclasses.replace(manifest, example={"rows": [[30.0]], "predictions": [30.0]}).write(folder)
    with start(folder, wait=False) as server:
        assert server.get("/ping").status == 503
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


def test_a_client_that_leaves_is_not_predicted_for(start: Any, packages: Path) -> None:
    with start(packages / "slow") as server:
        body = b'{"instances":[[0.5]]}'
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        impatient = [server.connect() for _ in range(4)]
        for connection in impatient:
            connection.sendall(request)
        until(lambda: server.metric("in_flight") == 4)
        for connection in impatient:
            connection.close()
        started = time.monotonic()
        assert server.predict([[0.0]]) == [0.0]
        assert time.monotonic() - started < 1.4


def test_workers_do_not_outlive_a_parent_that_was_killed(start: Any, packages: Path) -> None:
    with start(packages / "numbers", "--workers", "2") as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        workers = children.read_text().split()
        assert len(workers) == 2
        server.process.kill()
        server.process.wait()
        until(lambda: all(_has_ended(worker) for worker in workers))


def test_a_worker_whose_parent_was_killed_before_it_looked_stops_before_it_is_ready() -> None:
    async def orphaned() -> tuple[int, bool]:
        stopping: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        prepared = asyncio.Event()
        gone = os.getpid()  # nobody's parent here
        await asyncio.wait_for(worker._mind_the_parent(gone, stopping, prepared), 5)
        return stopping.result(), prepared.is_set()

    assert asyncio.run(orphaned()) == (0, True)


def _has_ended(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
