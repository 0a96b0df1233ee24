"""Which Python runs a job or a server: one at hand that has what is locked, else one to be made.

There are no containers here: an `image:` is a name in a table that stands for a Python version and its packages.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError, MlinfraError
from mlinfra.host.plan import InterpreterPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAMED = re.compile(r"python(3\.\d+)")
_PLACES = (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin")  # below the home folder, beside what PATH names
_RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Image:
    """What an image's name stands for on this host: a Python as `3.11`, and the text of its locked packages."""

    python: str
    requirements_lock: str = ""


def resolve(python: str | None, lock: str | None, image: str | None, images: Mapping[str, Image]) -> InterpreterPlan:
    """The interpreter for a Python version and locked packages, or for an image. Makes nothing.

    Raises:
        CapabilityError: the image is unknown, or no such Python is on this machine; says what there is.
        SpecError: the lock is no requirements file.
    """
    known = _image(image, images) if image else Image(python or _RUNNING)
    version, packages = python or known.python, lock or known.requirements_lock
    if version == _RUNNING and not packages:
        return InterpreterPlan(sys.executable, reason="the kit's own")
    ready, base = _search(version, packages)
    if ready:
        return InterpreterPlan(str(ready), reason="at hand, with all that is locked")
    if base is None:
        raise CapabilityError(
            f"there is no Python {version} on this machine",
            given=image or version,
            allowed=", ".join(versions_at_hand()),
            todo=f"install Python {version}, or ask for one that is here",
        )
    return InterpreterPlan("", version, packages, "an environment is made from the locked packages")


def versions_at_hand() -> list[str]:
    """The Python versions on this machine, as their programs are named."""
    found = {match[1] for program in _programs("python3.*") if (match := _NAMED.fullmatch(program.name))}
    return sorted(found | {_RUNNING}, key=lambda version: tuple(map(int, version.split("."))))


def make(lock: Path, version: str, cache: Path) -> Path:
    """The interpreter of an environment that holds the locked packages. Blocks while they are installed.

    Raises:
        SpecError: packages cannot be installed.
        Unavailable: the package index gives no answer.
    """
    from mlinfra.package import Lock, make_environment  # noqa: PLC0415  most jobs make no environment

    return make_environment(Lock.of(lock.read_text()), version, cache, candidates=_candidates(version))


def main(arguments: Sequence[str]) -> int:
    """The command line LOCK VERSION CACHE ANSWER: make the environment and write its interpreter into ANSWER."""
    lock, version, cache, answer = arguments
    try:
        Path(answer).write_text(f"{make(Path(lock), version, Path(cache))}\n")
    except MlinfraError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return 0


def _search(version: str, packages: str) -> tuple[Path | None, Path | None]:
    """An interpreter that has the packages, and one of that version at all."""
    from mlinfra.package import Lock, find_interpreter  # noqa: PLC0415  most jobs run with the kit's own

    candidates = list(_candidates(version))
    ready = find_interpreter(version, Lock.of(packages), candidates)
    return ready, ready or find_interpreter(version, Lock.of(""), candidates)


def _image(name: str, images: Mapping[str, Image]) -> Image:
    if name in images:
        return images[name]
    raise CapabilityError(
        "this host runs without containers and knows no such image",
        given=name,
        allowed=", ".join(sorted(images)) or "no image is known here",
        todo="add it with its Python version under `images` of the environment, or use `python:` in place of `image:`",
    )


def _candidates(version: str) -> Iterator[Path]:
    if version == _RUNNING:
        yield Path(sys.executable)
    yield from _programs(f"python{version}")


def _programs(pattern: str) -> Iterator[Path]:
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    for place in _PLACES:
        folders += sorted(Path.home().glob(place), reverse=True)
    for folder in folders:
        yield from sorted(folder.glob(pattern))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
