"""Finds, or makes once, an interpreter that has exactly the packages of a lock."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from mlinfra.package.atomic import new_folder
from mlinfra.package.installed import inspect
from mlinfra.package.requirements import Lock
from mlinfra.package.uvtool import run_uv

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.package.installed import Interpreter


_PYTHON = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")


def find_interpreter(python_version: str, lock: Lock, candidates: Iterable[Path]) -> Path | None:
    """The first candidate of that version, as "3.11", whose installed packages include the lock's; None without one.

    Starts each candidate at most once, and installs nothing.
    """
    for path in candidates:
        at_hand = inspect(path)
        if at_hand and at_hand.version == python_version and _has_all(at_hand, lock):
            return path
    return None


def make_environment(
    lock: Lock, python: str, cache: Path, *, index: str | None = None, candidates: Iterable[Path] = ()
) -> Path:
    """The interpreter of an environment below `cache` that holds the lock's packages and no others, made on first use.

    Safe from several processes at once: each makes its own, the first to end is kept. Blocks while uv installs. The
    Python is one of `candidates`, or what uv finds on this machine. Raises CapabilityError where there is none,
    SpecError for packages that cannot be installed, Unavailable where the package index gives no answer.
    """
    name = hashlib.sha256(f"{lock.digest} {python}\n".encode()).hexdigest()[:32]
    target = cache / "environments" / name
    if not (target / _PYTHON).exists():
        base = find_interpreter(python, Lock.of(""), candidates)
        with new_folder(target) as draft:
            _fill(draft, lock, str(base or python), index)
    return target / _PYTHON


def _fill(place: Path, lock: Lock, base: str, index: str | None) -> None:
    about = f"an environment for Python {base}"
    # Relocatable: it is made beside its place and moved there when it is whole.
    run_uv(["venv", "--quiet", "--relocatable", "--allow-existing", "--python", base, str(place)], place, about=about)
    if not lock.packages:
        return
    wanted = place / "requirements.lock"
    wanted.write_text(lock.text, encoding="utf-8")
    arguments = ["pip", "install", "--quiet", "--no-deps", "--python", str(place / _PYTHON), "-r", str(wanted)]
    arguments += ["--default-index", index] if index else []
    run_uv(arguments, place, about=", ".join(lock.packages))


def _has_all(at_hand: Interpreter, lock: Lock) -> bool:
    return all(_has(at_hand, Requirement(package)) for package in lock.packages)


def _has(at_hand: Interpreter, package: Requirement) -> bool:
    version = at_hand.version_of(package.name)
    return version is not None and not package.url and package.specifier.contains(version, prereleases=True)
