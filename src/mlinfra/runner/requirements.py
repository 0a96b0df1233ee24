"""Compares what the image holds with the bundle's lock, and installs what is missing beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.runner.problem import MISSING, TEMPORARY, RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

WHEELS = "MLINFRA_WHEELS"  # a folder of wheels, where there is no package index to reach

_METADATA = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*(?P<version>[^\s;]+)")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEPARATORS = re.compile(r"[-_.]+")
_PATIENCE = 3_600  # s
_SHOWN = 20  # lines of an installer's words


class Wanted(NamedTuple):
    """One package of a lock."""

    name: str  # as the package index compares it
    version: str | None  # None where an address names it
    text: str  # its line, hashes included


def installed(search: Iterable[str]) -> dict[str, str]:
    """Normalised name -> version of the packages that an interpreter with this `sys.path` can import."""
    found: dict[str, str] = {}
    for place in search:
        try:
            names = sorted(os.listdir(place or "."))  # noqa: PTH208  a zip on the path has no entries to walk
        except OSError:
            continue
        for match in filter(None, map(_METADATA.fullmatch, names)):
            found.setdefault(_normalise(match["name"]), match["version"])
    return found


def missing(lock: str, present: Mapping[str, str]) -> list[Wanted]:
    """The packages of a lock that are not there in the locked version, in its order."""
    return [wanted for wanted in _read(lock) if not _is_met(wanted, present)]


def install(wanted: list[Wanted], target: Path, wheels: Path | None) -> None:
    """Install packages, and nothing that they ask for in turn, into a folder. Blocks.

    Uses uv where the image has it, else pip; with `wheels` no index is asked. Raises RunnerError with the installer's
    words.
    """
    target.mkdir(parents=True, exist_ok=True)
    # Once one line has a hash, installers want one on every line; an address can have none.
    for number, group in enumerate((_with_hashes(wanted, True), _with_hashes(wanted, False))):
        if group:
            lines = target / f".wanted-{number}.txt"
            lines.write_text("".join(f"{package.text}\n" for package in group), encoding="utf-8")
            _run([*_installer(), "--target", str(target), "--no-deps", *_source(wheels), "-r", str(lines)])
            lines.unlink()


def _with_hashes(wanted: list[Wanted], have: bool) -> list[Wanted]:  # noqa: FBT001  private, named at each call
    return [package for package in wanted if ("--hash" in package.text) is have]


def _installer() -> list[str]:
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]


def _source(wheels: Path | None) -> list[str]:
    return ["--no-index", "--find-links", str(wheels)] if wheels else []


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise RunnerError(f"installing the job's requirements took more than {_PATIENCE} s", TEMPORARY) from exc
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_SHOWN:])
        raise RunnerError(f"the job's requirements cannot be installed:\n{said}", MISSING)


def _read(lock: str) -> list[Wanted]:
    found = []
    for raw in lock.replace("\\\n", " ").splitlines():
        line = " ".join(raw.partition(" #")[0].split())
        if not line or line.startswith(("#", "-")):
            continue
        pinned = _PINNED.match(line)
        name = pinned["name"] if pinned else _name_of(line)
        found.append(Wanted(_normalise(name), pinned["version"] if pinned else None, line))
    return found


def _name_of(line: str) -> str:
    match = _NAMED.match(line)
    return match[0] if match else line


def _is_met(wanted: Wanted, present: Mapping[str, str]) -> bool:
    version = present.get(wanted.name)
    if version is None or wanted.version is None:
        return version is not None
    # A lock without a build's mark is met by any build of the version: 2.5.0 by 2.5.0+cu121.
    return wanted.version in {version, version.partition("+")[0]}


def _normalise(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()
