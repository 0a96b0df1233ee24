"""A package appears whole: it is built in a folder beside the target, or inside it, and moved in at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import Conflict, NotFound
from mlinfra.modelkit.manifest import MANIFEST_NAME, package_files

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = ".mlinfra-partial-"


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder on the target's file system that is gone when the block ends.

    An existing target may be a mount point, which nothing can replace: then the folder lies inside it.
    """
    parent = target if target.is_dir() else target.parent
    parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=parent, prefix=_PREFIX))
    try:
        stage.chmod(0o755)
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def publish(stage: Path, target: Path) -> None:
    """Move a finished package to its place; the manifest goes last, for without it nothing is a package."""
    files = package_files(stage)
    for path in [*files.values(), stage / MANIFEST_NAME]:
        _to_disk(path)
    if not target.exists():
        try:
            stage.rename(target)
        except OSError as exc:
            raise Conflict("somebody else wrote to the model's path", given=str(target)) from exc
        return
    for name, path in [*files.items(), (MANIFEST_NAME, stage / MANIFEST_NAME)]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(target / name)


def copy_into(source: Path, stage: Path) -> Path:
    """Copy a model file, or the files of a model folder, into the stage; the path to describe."""
    if source.is_dir():
        for name, path in package_files(source).items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, stage / name)
        return stage
    if not source.is_file():
        raise NotFound("no such model", given=str(source))
    return Path(shutil.copyfile(source, stage / source.name))


def _to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
