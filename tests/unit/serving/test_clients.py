"""The protocol's own Python clients, unmodified, each in an environment of its own that uv makes once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).parent / "clients"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlinfra-tests"
REQUIREMENTS = {  # installed: 138, 304 and 226 MB
    "triton": "tritonclient[http,grpc]==2.73.0",
    "kserve": "kserve==0.21.0",
    "mlserver": "mlserver==1.7.1",
}


def environment(name: str) -> Path:
    """The interpreter of an environment that holds a client."""
    folder = CACHE / REQUIREMENTS[name].replace("[", "-").replace("]", "")
    if not (folder / "done").exists():
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], check=True)
        install = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
        subprocess.run([*install, REQUIREMENTS[name]], check=True)
        (folder / "done").touch()
    return folder / "bin" / "python"


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def arguments(start: Any, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Ports of a server with one model and of one with many, and what is to come out."""
    place = tmp_path_factory.mktemp("clients")
    (place / "models").mkdir()
    (place / "models" / "chances").symlink_to(packages / "chances")
    rpc, fleet_rpc = free_port(), free_port()
    rows = np.random.default_rng(8).normal(size=(7, 4)).tolist()
    with (
        start(packages / "chances", "--name", "chances", "--grpc-port", rpc) as server,
        start(None, "--models", str(place / "models"), "--grpc-port", fleet_rpc) as fleet,
    ):
        expected = {"rows": rows, "predictions": server.predict(rows)}
        (place / "expected.json").write_text(json.dumps(expected))
        yield [str(server.port), rpc, str(fleet.port), fleet_rpc, str(place / "expected.json")]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_client_works_unmodified(arguments: list[str], name: str) -> None:
    script = CLIENTS / f"{name}.py"
    # -P: the script's folder holds namesakes of the packages
    command = [str(environment(name)), "-P", str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
