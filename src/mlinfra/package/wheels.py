"""The packages of a lock as wheels for another machine, for jobs that reach no package index."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError, SpecError
from mlinfra.package.atomic import new_folder
from mlinfra.package.uvtool import run_pip

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.package.requirements import Lock

# What the clouds' images for training run on, the newest first: glibc 2.31 and later, x86.
_PLATFORMS = ("manylinux_2_31_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def wheels_key(lock: Lock, python: str) -> str:
    """64 hex digits that stand for these packages on that Python."""
    return hashlib.sha256(f"{python}\n{lock.text}".encode()).hexdigest()


def fetch_wheels(lock: Lock, python: str, *, cache: Path, index: str | None = None) -> Path:
    """A folder with a wheel for each package of the lock, for Linux and a Python such as "3.11".

    Fetched once and kept below `cache`. Blocks while it is fetched.

    Raises:
        CapabilityError: a package has no wheel for that machine; a source distribution would have to be built there.
        Unavailable: the package index gives no answer.
    """
    kept = cache / "wheels" / wheels_key(lock, python)
    if kept.is_dir():
        return kept
    with new_folder(kept) as draft:
        (draft / "requirements.txt").write_text(lock.text)
        arguments = [*_DOWNLOAD, *_target(python), *_index(index), "--requirement", "requirements.txt"]
        try:
            run_pip(arguments, draft, about="wheels for a job without a network")
        except SpecError as exc:
            raise CapabilityError(
                f"a job without a network builds nothing, and not every package has a wheel: {exc.what}",
                given=", ".join(lock.packages),
                todo="choose versions that have wheels for Linux, or an image that holds the packages",
            ) from exc
        (draft / "requirements.txt").unlink()
    return kept


_DOWNLOAD = ("download", "--progress-bar", "off", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:")


def _target(python: str) -> list[str]:
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    return ["--implementation", "cp", "--python-version", python, *platforms]


def _index(index: str | None) -> list[str]:
    """Pip does not know uv's settings."""
    found = index or next((os.environ[name] for name in _INDEX_VARIABLES if os.environ.get(name)), None)
    return ["--index-url", found] if found else []
