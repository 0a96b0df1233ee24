"""An environment of its own for the kit and for each peer, made once and kept below the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_DONE = "complete"


class NotInstalled(Exception):
    """An environment that could not be made; the message is the installer's reason."""


def cache_folder() -> Path:
    """Where environments are kept between two runs; it may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlinfra-benchmarks"


def environment(name: str, requirements: Sequence[str], overrides: Sequence[str] = ()) -> Path:
    """The interpreter of an environment that holds these requirements, `overrides` against what they ask for.

    Made where it is not there yet; raises NotInstalled.
    """
    words = [name, _python(), *requirements, "", *overrides]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run("venv", "--quiet", "--python", _python(), str(folder))
        (folder / "overrides.txt").write_text("\n".join(overrides))
        options = ["--quiet", "--compile-bytecode", "--override", str(folder / "overrides.txt")]
        _run("pip", "install", *options, "--python", str(python), *requirements)
        (folder / _DONE).touch()
    return python


def kit_environment(root: Path, requirements: Sequence[str]) -> Path:
    """An environment with the kit as its source tree stands now, installed as a user installs it."""
    digest = hashlib.sha256()
    files = [*root.glob("*.py"), root / "pyproject.toml", *(root / "src").rglob("*"), *(root / "adapters").rglob("*")]
    for path in sorted(path for path in files if path.suffix in (".py", ".c", ".toml")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    name = "mlinfra"
    for old in cache_folder().glob(f"{name}-*"):
        if not old.name.startswith(f"{name}-{digest.hexdigest()[:8]}"):
            shutil.rmtree(old)
    return environment(f"{name}-{digest.hexdigest()[:8]}", [f"{root}[serving]", *requirements])


def _run(*arguments: str) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise SystemExit("uv is missing: pip install uv")
    done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip(" \u00d7\u2570\u2500\u25b6") for line in done.stderr.splitlines() if line.strip()]
        raise NotInstalled(" ".join(lines)[:400])


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
