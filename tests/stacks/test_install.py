"""`make pulumi`: which way the engine is brought up, and what is refused on the way."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import socket
import subprocess
import tarfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
BESIDE = ("pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")


@pytest.fixture
def install() -> Any:
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location("install_pulumi", ROOT / "tools" / "pulumi" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def script(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[[str, bytes], str]]:
    """A server on loopback; call it with a name and content, it gives the address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def put(name: str, content: bytes) -> str:
            (folder / name).write_bytes(content)
            return f"http://127.0.0.1:{server.server_port}/{name}"

        yield put
        server.shutdown()


def archive(tmp_path: Path) -> bytes:
    for name in ("pulumi", *BESIDE):
        script(tmp_path / "made" / "pulumi" / name, "v3.259.0")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        file.add(tmp_path / "made" / "pulumi", "pulumi")
    return buffer.getvalue()


@pytest.mark.parametrize("told", ["v3.259.0", "3.227.0"])
def test_a_cli_of_the_range_is_taken_as_it_is(install: Any, tmp_path: Path, told: str):
    assert install.fits(script(tmp_path / "pulumi", told))


@pytest.mark.parametrize("told", ["v3.226.9", "v4.0.0", "something"])
def test_a_cli_out_of_the_range_is_not(install: Any, tmp_path: Path, told: str):
    assert not install.fits(script(tmp_path / "pulumi", told))


def test_a_fitting_cli_on_path_is_used_and_nothing_is_fetched(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in ("pulumi", *BESIDE):
        script(tmp_path / "bin" / name, "v3.300.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert install.main(tmp_path / "target") == 0
    assert "pulumi 3.300.0" in capsys.readouterr().out
    assert not (tmp_path / "target").exists()


def test_the_archive_with_the_kept_digest_is_unpacked(
    install: Any, tmp_path: Path, served: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
):
    content = archive(tmp_path)
    monkeypatch.setitem(install.RELEASE["sha256"], install.system(), hashlib.sha256(content).hexdigest())
    assert install.from_archive(tmp_path / "target", served("a.tar.gz", content)) == ""
    assert install.version(tmp_path / "target" / "pulumi") == "3.259.0"
    assert install.beside(tmp_path / "target" / "pulumi")


def test_an_archive_of_another_digest_is_thrown_away(install: Any, tmp_path: Path, served: Callable[[str, bytes], str]):
    problem = install.from_archive(tmp_path / "target", served("a.tar.gz", archive(tmp_path)))
    assert "digest" in problem
    assert not (tmp_path / "target").exists()


def test_a_server_that_is_not_there_is_noticed_at_once(install: Any, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "cannot be had" in install.from_archive(tmp_path / "target", f"http://127.0.0.1:{port}/a")


def test_a_server_that_never_answers_is_given_up(install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert install.PATIENCE <= 10
    monkeypatch.setattr(install, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begun = time.monotonic()
        problem = install.from_archive(tmp_path / "target", f"http://127.0.0.1:{listener.getsockname()[1]}/a")
    assert "cannot be had" in problem
    assert time.monotonic() - begun < 60


def test_without_go_it_says_what_to_install(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(install.RELEASE["sha256"], install.system(), "")
    assert install.main(tmp_path / "target") == 1
    assert "install Pulumi 3.227.0 or later, or Go" in capsys.readouterr().out


def test_the_pinned_module_and_the_pinned_archive_are_one_version(install: Any):
    modules = (ROOT / "tools" / "pulumi" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{install.RELEASE['version']}" in modules
    assert all(len(digest) == 64 for digest in install.RELEASE["sha256"].values())


def test_the_language_host_that_is_placed_is_a_program(install: Any, tmp_path: Path):
    path = tmp_path / "host"
    path.write_text(install.language_host())
    assert subprocess.run(["/bin/sh", "-n", path], check=False).returncode == 0
