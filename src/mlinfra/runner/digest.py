"""Names what a file or folder holds, by the rule of `mlinfra.package.tree`; a test compares the two.

The digest of a file is the SHA-256 of its bytes; that of a folder, of one line per file in the order of the paths.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.runner.problem import DAMAGED, RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20  # bytes


class Content(NamedTuple):
    """What a file or folder holds."""

    digest: str  # "sha256:<hex>"
    files: int
    size: int  # bytes in all


def content_of(path: Path, hidden: Path | None = None, *, modes: bool = True) -> Content:
    """Read a file or folder, but for what is `hidden` in it, and name it by its content.

    Without `modes` no file counts as executable: object stores keep none, so what passes through one is named so.
    Raises RunnerError for links in circles, pipes and devices.
    """
    if path.is_file():
        return Content(f"sha256:{sha256_of(path)}", 1, path.stat().st_size)
    whole = hashlib.sha256(b"mlinfra-tree 1\n")
    number = size = 0
    for name, file in sorted(files_below(path, hidden)):
        about = file.stat()
        mode = b"x" if modes and about.st_mode & stat.S_IXUSR else b"-"
        whole.update(b"%s %s %s\0" % (mode, sha256_of(file).encode(), name.encode()))
        number += 1
        size += about.st_size
    return Content(f"sha256:{whole.hexdigest()}", number, size)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            whole.update(chunk)
    return whole.hexdigest()


def md5_of(path: Path) -> str:
    """The MD5 of a file as object stores write it, in Base64."""
    whole = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            whole.update(chunk)
    return base64.b64encode(whole.digest()).decode()


def files_below(
    folder: Path, hidden: Path | None = None, name: str = "", above: tuple[str, ...] = ()
) -> Iterator[tuple[str, Path]]:
    """(path from the folder with slashes, place) of every file, links followed; but for a `hidden` folder."""
    real = os.path.realpath(folder)
    if hidden is not None and real == os.path.realpath(hidden):
        return
    if real in above:
        raise RunnerError(f"a link leads in circles: {folder}", DAMAGED)
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}" if name else entry.name
        if entry.is_dir():
            yield from files_below(entry, hidden, path, (*above, real))
        elif entry.is_file():
            yield path, entry
        else:
            raise RunnerError(f"neither a file nor a folder: {entry}", DAMAGED)


def settle_links(folder: Path) -> list[str]:
    """Make what a job leaves behind mean the same elsewhere; say which links were removed for it.

    In the place of a link to a file outside comes a copy, for hours of training must not be lost over a link. A link
    to a folder outside might lead to all there is: it is removed, and so is one that leads nowhere.
    """
    top = os.path.realpath(folder)
    removed = []
    for place, folders, files in os.walk(folder):
        for link in (Path(place, name) for name in (*folders, *files)):
            target = Path(os.path.realpath(link))
            if not link.is_symlink() or (target.exists() and os.path.commonpath([top, target]) == top):
                continue
            link.unlink()
            if target.is_file():
                shutil.copy2(target, link)
            else:
                removed.append(f"{link} -> {target}")
    return removed
