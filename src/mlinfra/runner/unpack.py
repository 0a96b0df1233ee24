"""Lays out the bundle that this runner came in: the user's code as a folder to run in."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

from mlinfra.runner.problem import DAMAGED, RunnerError

_CODE = "code/"
_ABOUT = "mlinfra-bundle.json"
_EXECUTABLE = 0o100 << 16  # in a zip member's attributes


class Code(NamedTuple):
    """What a bundle holds for a job."""

    folder: Path
    lock: str | None  # the text of the locked requirements


def own_bundle() -> Path:
    """The zip that this module was imported from. Raises RunnerError where it was not."""
    place = Path(__file__).parents[2]
    if not place.is_file():
        raise RunnerError(f"the runner runs from a bundle, not from {place}", DAMAGED)
    return place


def unpack(bundle: Path, folder: Path) -> Code:
    """Write the user's files below `folder`. Raises RunnerError for a bundle that is damaged or leads out of it."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            about = json.loads(archive.read(_ABOUT))
            for member in archive.infolist():
                if member.filename.startswith(_CODE):
                    _write(archive, member, folder)
            lock = archive.read(about["requirements"]).decode() if about.get("requirements") else None
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as exc:
        raise RunnerError(f"the bundle {bundle} cannot be unpacked: {exc}", DAMAGED) from exc
    folder.mkdir(parents=True, exist_ok=True)
    return Code(folder, lock)


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    path = member.filename[len(_CODE) :]
    if not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"{member.filename} leads out of it")
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(archive.read(member))
    if member.external_attr & _EXECUTABLE:
        place.chmod(0o755)
