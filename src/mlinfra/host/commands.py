"""What a process of a job or deployment finds in its environment: enough to work, none of its submitter's secrets."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT = frozenset(
    {
        "HOME",
        "LANG",
        "LOGNAME",
        "SHELL",
        "TMPDIR",
        "TZ",
        "USER",
        "PATH",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "NIX_SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "CUDA_VISIBLE_DEVICES",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
    }
)
_KEPT_FAMILIES = ("LC_", "PIP_", "UV_")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a job keeps of its submitter's environment: where things are, proxies and certificates."""
    return {
        name: value for name, value in environment.items() if name.upper() in _KEPT or name.startswith(_KEPT_FAMILIES)
    }


def threads(cpu: float | None) -> dict[str, str]:
    """How the usual numeric libraries are told to use so many processors; a hint, not a limit."""
    return dict.fromkeys(_THREADS, str(max(1, int(cpu)))) if cpu else {}


def module_environment() -> dict[str, str]:
    """What a module of the kit needs to start in a process of its own, and nothing of the client's besides."""
    kit = str(Path(__file__).resolve().parents[2])
    return {"PYTHONPATH": kit, "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of the kit with the interpreter at hand."""
    return [sys.executable, "-m", name, *arguments]


def with_python_first(environment: Mapping[str, str], python: str, folder: Path) -> dict[str, str]:
    """The environment in which `python` and `python3` mean this interpreter. `folder` may be written to."""
    path = environment.get("PATH", os.defpath)
    return {**environment, "PATH": f"{_binaries(Path(python), folder)}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1"}


def _binaries(python: Path, folder: Path) -> Path:
    """The interpreter's own folder if it has both names, else one with a small script for each."""
    names = [python.parent / name for name in ("python", "python3")]
    if all(name.exists() and name.samefile(python) for name in names):
        return python.parent
    scripts = folder / "bin"
    scripts.mkdir(parents=True, exist_ok=True)
    for name in names:
        script = scripts / name.name
        script.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
        script.chmod(0o755)
    return scripts
