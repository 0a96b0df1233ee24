"""Bring the Pulumi engine up for `make pulumi`, in the first way that works, without running anybody's script.

A fitting CLI on PATH is used as it is. Else the vendor's archive of the pinned version is taken, checked against the
digests in `release.json`, which are those of the vendor's own package formula. Else the CLI is built from its published
Go modules, whose digests `go.sum` holds. What lies in `.tools/pulumi/bin` afterwards is found by `mlinfra` by itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import urllib.request
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any

HERE = Path(__file__).parent
RELEASE = json.loads((HERE / "release.json").read_text())
PATIENCE = 10  # seconds in which a server must begin to answer, and between two pieces of what it sends
LANGUAGE_HOST = "pulumi-language-python"
EXECUTOR = "pulumi-language-python-exec"
DYNAMIC = "pulumi-resource-pulumi-python"
MODULE = "github.com/pulumi/pulumi/sdk/v3"
SCRIPTS = {EXECUTOR: "python/cmd", DYNAMIC: "python/dist"}  # where they lie in that module
HOST_SCRIPT = """#!/bin/sh
{variable}="$(dirname "$0")/{executor}" exec {python} -u -m mlinfra.infra.automation.languagehost "$@"
"""


def main(target: Path) -> int:
    """Bring it up below `target` and say how. Returns the exit code."""
    found = shutil.which("pulumi")
    if found and fits(Path(found)) and beside(Path(found)):
        print(f"pulumi {version(Path(found))} at {found} is used")
        return 0
    if fits(target / "pulumi") and beside(target / "pulumi"):
        print(f"pulumi {version(target / 'pulumi')} is at {target}")
        return 0
    problem = from_archive(target) and from_modules(target)
    if problem:
        print(f"{problem}\ninstall Pulumi {RELEASE['least']} or later, or Go, and run `make pulumi` again")
        return 1
    print(f"pulumi {version(target / 'pulumi')} is at {target}")
    return 0


def version(program: Path) -> str:
    """The CLI's version as three numbers, empty where it tells none."""
    variables = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        said = subprocess.run([program, "version"], capture_output=True, text=True, check=False, env=variables).stdout
    except OSError:
        return ""
    match = re.match(r"v?(\d+\.\d+\.\d+)", said)
    return match[1] if match else ""


def fits(program: Path) -> bool:
    """Whether this CLI is of the range that the kit works with."""
    told = version(program)
    return bool(told) and _numbers(RELEASE["least"]) <= _numbers(told) < _numbers(RELEASE["below"])


def beside(program: Path) -> bool:
    """Whether what runs Python programs lies beside the CLI, or on PATH."""
    folder = program.resolve().parent
    return all((folder / name).exists() or shutil.which(name) for name in (LANGUAGE_HOST, EXECUTOR, DYNAMIC))


def from_archive(target: Path, source: str = RELEASE["source"]) -> str:
    """Unpack the vendor's archive. Returns why not, empty where it worked."""
    digest = RELEASE["sha256"].get(system())
    if not digest:
        return f"there is no archive for {system()}"
    address = source.format(version=RELEASE["version"], system=system())
    print(f"trying {address}", flush=True)
    try:
        content = fetch(address)
    except (OSError, ValueError) as exc:
        return _told(f"the vendor's archive cannot be had: {getattr(exc, 'reason', exc)}")
    if hashlib.sha256(content).hexdigest() != digest:
        return _told("the archive is not the one whose digest the project keeps; it was thrown away")
    unpack(content, target)
    return ""


def fetch(address: str) -> bytes:
    """The bytes at an address.

    OSError where nobody has begun to answer after `PATIENCE` seconds, name look-up and every address of the name
    included, or where nothing more has come for as long.
    """
    opened: Queue[Any] = Queue()

    def knock() -> None:
        try:
            opened.put(urllib.request.urlopen(address, timeout=PATIENCE))  # noqa: S310  the project's own address
        except (OSError, ValueError) as exc:
            opened.put(exc)

    threading.Thread(target=knock, daemon=True).start()
    try:
        answer = opened.get(timeout=PATIENCE)
    except Empty:
        raise TimeoutError(f"no answer within {PATIENCE} s") from None
    if isinstance(answer, Exception):
        raise answer
    with answer:
        content: bytes = answer.read()
    return content


def unpack(content: bytes, target: Path) -> None:
    """Put the archive's programs into the folder, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(draft, filter="data")
        shutil.rmtree(target, ignore_errors=True)
        next(Path(draft).rglob("pulumi-language-python-exec")).parent.rename(target)


def from_modules(target: Path) -> str:
    """Build the CLI with Go and put our language host beside it. Returns why not, empty where it worked."""
    go = shutil.which("go")
    if go is None:
        return "there is no Go to build it with"
    print(f"building pulumi {RELEASE['version']} from its Go modules; this takes minutes, once", flush=True)
    target.mkdir(parents=True, exist_ok=True)
    stamp = f"-X {MODULE}/go/common/version.Version=v{RELEASE['version']}"
    command = [go, "install", "-trimpath", "-tags", "osusergo,grpcnotrace", "-ldflags", f"-w -s {stamp}", "tool"]
    variables = {**os.environ, "GOBIN": str(target.resolve()), "CGO_ENABLED": "0"}
    if subprocess.run(command, cwd=HERE, env=variables, check=False).returncode:
        return "Go could not build it"
    module = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", MODULE], cwd=HERE, capture_output=True, text=True, check=True
    ).stdout.strip()
    for name, place in SCRIPTS.items():
        _place(target / name, Path(module, place, name).read_text())
    _place(target / LANGUAGE_HOST, language_host())
    return ""


def language_host() -> str:
    """The program that the engine starts for Python: our host, in the interpreter that this runs in."""
    return HOST_SCRIPT.format(variable="MLINFRA_PULUMI_EXECUTOR", executor=EXECUTOR, python=sys.executable)


def system() -> str:
    """This machine as the vendor names it in its archives."""
    machine = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}-{machine}"


def _place(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    path.write_text(text)
    path.chmod(0o755)


def _numbers(told: str) -> tuple[int, ...]:
    return tuple(int(part) for part in told.split("."))


def _told(problem: str) -> str:
    print(problem, flush=True)
    return problem


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
