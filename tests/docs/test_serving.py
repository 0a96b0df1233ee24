"""What the page on serving tells people to type works, and every address on it answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.cli.image import image
from mlinfra.modelkit import save_model

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
COMMANDS = [block.strip().removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)]
ADDRESS = re.compile(r"`((?:GET|POST)? ?/[^`]*)`")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "m.py").write_text("def predict(rows):\n    return [row['x'] for row in rows]\n")
    save_model(tmp_path / "m.py", tmp_path / "model", example=[{"x": 1.0}])
    save_model(tmp_path / "m.py", tmp_path / "models" / "NAME", example=[{"x": 1.0}])
    (tmp_path / "rows.jsonl").write_text('{"x": 2.5}\n{"x": "no"}\n')
    return tmp_path


@contextlib.contextmanager
def running(command: str, place: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = shlex.split(command.replace("8080", str(port)))
    assert words[0] == "python"
    options = [] if "--models" in words else ["--name", "NAME"]
    process = subprocess.Popen([sys.executable, *words[1:], *options], cwd=place, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until and ask(port, "GET", "/ping") != 200:
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        assert process.wait(20) == 0


def ask(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        body = json.dumps({"instances": [{"x": 1.5}]})
        connection.request(method, path, body if method == "POST" else None)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def addresses(section: str) -> list[tuple[str, str]]:
    """Method and path of every address in the first column of a section's tables."""
    found, method = [], "GET"
    for line in section.splitlines():
        if line.startswith("| `"):
            for word in ADDRESS.findall(line.split("|")[1]):
                method, path = word.split() if " " in word else (method, word)
                found.append((method, path))
    return found


def test_the_server_starts_as_it_says_and_answers_at_every_address(place: Path):
    section = PAGE.split("## Addresses")[1].split("##")[0]
    assert len(addresses(section)) >= 12
    with running(COMMANDS[0], place) as port:
        for method, path in addresses(section):
            status = ask(port, method, path)
            assert status == (400 if path.endswith("/infer") else 200), (method, path)


def test_many_models_are_served_as_it_says(place: Path):
    with running(COMMANDS[1], place) as port:
        assert ask(port, "POST", "/models/NAME/invoke") == 200
        assert ask(port, "POST", "/v1/models/NAME:predict") == 200
        assert ask(port, "GET", "/models/NAME") == 200


def test_files_are_predicted_as_it_says(place: Path):
    words = shlex.split(COMMANDS[2])
    subprocess.run([sys.executable, *words[1:]], cwd=place, check=True, capture_output=True)
    assert (place / "predictions.csv").read_text() == "2.5\n\n"
    assert json.loads((place / "predictions.csv.rejected.jsonl").read_text())["column"] == "x"


def test_the_image_command_parses(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    words = shlex.split(COMMANDS[3])
    assert words[:3] == ["mlinfra", "image", "push"]
    push = image.commands["push"]
    assert push.make_context("push", words[3:]).params["target"] == "REGISTRY/credit"
