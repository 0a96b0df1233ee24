"""What a job leaves in `/opt/ml`, as it goes to S3: archives, single files, the failure's words.

Several nodes' files go into one place; where two have a file of the same name, the later node's stays.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.training.faults import LONGEST_REASON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_QUICK = 1  # gzip's level: an emulator's archives are read once, on this machine


def gathered(folders: Iterable[Path]) -> dict[str, Path]:
    """The files, links and empty folders below the folders, by path."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or path.is_file() or (path.is_dir() and not any(path.iterdir())):
                found[path.relative_to(folder).as_posix()] = path
    return found


def pack(files: Mapping[str, Path], target: Path) -> None:
    """Write them into a `.tar.gz`. What is neither file, link nor folder is left out."""
    with tarfile.open(target, "w:gz", compresslevel=_QUICK) as archive:
        for name, path in sorted(files.items()):
            archive.add(path, name, recursive=False)


def failure(files: Iterable[Path]) -> str:
    """The words that the first node to leave some wrote into `/opt/ml/output/failure`."""
    for path in files:
        if path.is_file():
            with path.open(errors="replace") as file:
                words = file.read(LONGEST_REASON).strip()
            if words:
                return words
    return ""
