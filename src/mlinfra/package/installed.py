"""What is installed for an interpreter at hand, seen by starting it once and importing nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution
from pathlib import Path

from packaging.markers import default_environment

_PATIENCE = 30  # s for an interpreter to say what it is
_FOLDER = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
_SEPARATORS = re.compile(r"[-_.]+")

# Runs in the interpreter asked about, which may be as old as 3.9 and has no `packaging`.
_QUESTION = """
import json, os, platform, sys
version = ".".join(map(str, sys.implementation.version[:3]))
print(json.dumps({"path": sys.path, "markers": {
    "implementation_name": sys.implementation.name, "implementation_version": version, "os_name": os.name,
    "platform_machine": platform.machine(), "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(), "platform_system": platform.system(),
    "platform_version": platform.version(), "python_full_version": platform.python_version(),
    "python_version": "%d.%d" % sys.version_info[:2], "sys_platform": sys.platform}}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine, with what it can import."""

    path: Path
    markers: dict[str, str]  # the variables of PEP 508
    search: tuple[str, ...]  # its `sys.path`, without what the caller's environment adds

    @property
    def version(self) -> str:
        """As in `3.11`."""
        return self.markers["python_version"]

    @cached_property
    def packages(self) -> dict[str, Path]:
        """Normalised name -> the folder with the package's metadata, as the import system would meet it first."""
        found: dict[str, Path] = {}
        for place in self.search:
            for folder in _metadata_folders(place):
                match = _FOLDER.fullmatch(folder)
                if match:
                    found.setdefault(normalise(match["name"]), Path(place, folder))
        return found

    def version_of(self, name: str) -> str | None:
        """The installed version of a package, None where it is not there."""
        folder = self.packages.get(normalise(name))
        match = _FOLDER.fullmatch(folder.name) if folder else None
        return match["version"] if match else None

    def requires(self, name: str) -> list[str]:
        """What an installed package asks for in its turn, as PEP 508 writes it."""
        return Distribution.at(self.packages[normalise(name)]).requires or []

    def comes_from_index(self, name: str) -> bool:
        """False for what was installed from a folder, a file or version control: its version alone does not name it."""
        return not (self.packages[normalise(name)] / "direct_url.json").exists()


def inspect(path: Path) -> Interpreter | None:
    """What the interpreter at `path` is; None where it does not run."""
    if path == Path(sys.executable):
        return _this_one()
    try:
        answer = subprocess.run(
            [str(path), "-I", "-c", _QUESTION], capture_output=True, check=True, timeout=_PATIENCE, text=True
        )
        about = json.loads(answer.stdout)
        return Interpreter(path, about["markers"], tuple(about["path"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None


def normalise(name: str) -> str:
    """A package's name as the package index compares it."""
    return _SEPARATORS.sub("-", name).lower()


def _this_one() -> Interpreter:
    added = {os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}  # noqa: PTH100  `resolve` would follow links
    search = tuple(entry for entry in sys.path if entry and entry not in added)
    markers = {name: str(value) for name, value in default_environment().items()}
    return Interpreter(Path(sys.executable), markers, search)


def _metadata_folders(place: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(place) if name.endswith("-info"))  # noqa: PTH208  names suffice
    except OSError:
        return []
