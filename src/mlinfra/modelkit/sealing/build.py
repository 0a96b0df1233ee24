"""Builds the compiled walk with the system's C compiler: `python -m mlinfra.modelkit.sealing.build`.

The build hook runs this file on its own, before the package exists, so it imports nothing of it.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("walk.c")
TARGET = Path(__file__).with_name("_walk.abi3.so")

# Nothing may be contracted or reordered: a sealed model must give the estimator's bits. No flag names a CPU.
_FLAGS = (
    "-std=c11",
    "-O3",
    "-ffp-contract=off",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-cast-function-type",
)


class CannotBuild(Exception):
    """There is no compiler here, or it failed; the message says which."""


def build(source: Path = SOURCE, target: Path = TARGET) -> bool:
    """Compiles the walk beside its source, unless it is there and up to date. Returns whether it compiled.

    The file appears whole or not at all. Raises CannotBuild.
    """
    mark = f"walk {_digest(source)}"
    if target.exists() and mark.encode() in target.read_bytes():
        return False
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        built = Path(folder) / target.name
        _compile(source, built, mark)
        built.replace(target)
    return True


def compiler() -> list[str]:
    """The C compiler as an argument vector: $CC, else cc, gcc or clang. Raises CannotBuild."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise CannotBuild("there is no C compiler: neither $CC, cc, gcc nor clang")


def include() -> Path:
    """Where Python.h lies."""
    return Path(sysconfig.get_paths()["include"])


def _compile(source: Path, target: Path, mark: str) -> None:
    if sys.platform == "win32" or not (include() / "Python.h").exists():
        raise CannotBuild(f"there is no Python.h in {include()}")
    link = ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
    command = [*compiler(), *_FLAGS, *link, f'-DMARK="{mark}"', f"-I{include()}", str(source), "-o", str(target), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise CannotBuild(f"{command[0]} cannot be run: {exc}") from exc
    if done.returncode:
        raise CannotBuild(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")


def _digest(source: Path) -> str:
    """What the compiled file depends on: the source, the flags and the machine."""
    text = "\n".join([*_FLAGS, sys.platform, sysconfig.get_platform(), os.environ.get("CC", "")])
    return hashlib.sha256(source.read_bytes() + text.encode()).hexdigest()


def main() -> int:
    """Builds and says so; 0 when the walk is there, 1 when it cannot be built."""
    try:
        compiled = build()
    except CannotBuild as exc:
        sys.stderr.write(f"the compiled walk was not built: {exc}\n")
        return 1
    sys.stdout.write(f"{TARGET.name}: {'built' if compiled else 'up to date'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
