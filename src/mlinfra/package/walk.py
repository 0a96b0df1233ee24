"""One walk over a folder for everything that names, packs or sends it, so that all of them see the same files.

A link inside the folder stands for the files it leads to; one that leaves the folder is refused, since nobody who
sends a folder means to send what lies beside it. Empty folders do not count: object stores know none.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.errors import Conflict, NotFound, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Skip = Callable[[str, bool], bool]  # (path from the root, is it a folder) -> leave it out

_TODO = "remove it; in a code folder, .mlinfraignore may name it instead"
MOST_FILES = 1_000_000  # links to folders of links would else multiply without bound


class File(NamedTuple):
    """A regular file below the root."""

    path: str  # from the root, with slashes, valid UTF-8
    source: str  # where its bytes are; elsewhere than `path` says where a link led here
    size: int  # bytes
    mtime_ns: int
    ctime_ns: int
    inode: int
    executable: bool  # for its owner


class _Found(NamedTuple):
    files: dict[str, File]
    links: dict[str, str]  # path from the root -> where the link is


def walk(root: Path, skip: Skip | None = None) -> list[File]:
    """List the regular files below `root` in the order of their paths' bytes; of a file, itself under the path "".

    Nothing is read but names and attributes. `skip` sees a folder before anything in it.
    Raises NotFound, and SpecError for a link that leaves the folder, leads nowhere or in circles, for a name that is
    not UTF-8, and for anything that is neither file, folder nor link; Conflict when something vanishes meanwhile.
    """
    top = os.path.realpath(root)
    try:
        about = os.stat(top)  # noqa: PTH116  beside scandir's entries, strings are the quick form
    except OSError as exc:
        raise NotFound("no such file or folder", given=str(root), todo="check the path") from exc
    if not stat.S_ISDIR(about.st_mode):
        return [_file("", top, about)]
    try:
        found = _scan(top, skip)
    except FileNotFoundError as exc:
        raise changed_meanwhile(str(exc.filename)) from exc
    files = list(found.files.values())
    for path in found.links:
        files.extend(_through(path, found, top, ()))
        _check_number(files, top)
    files.sort()  # by path first; the order of UTF-8 bytes is that of code points
    return files


def changed_meanwhile(place: str) -> Conflict:
    """The error for a file that somebody writes to while it is looked at."""
    return Conflict("a file changed while it was read", given=place, todo="run again when nothing writes to it")


def _scan(top: str, skip: Skip | None) -> _Found:
    found = _Found({}, {})
    pending = [("", top)]
    while pending:
        folder, place = pending.pop()
        for entry in _entries(place):
            path = f"{folder}/{_portable(entry, place)}" if folder else _portable(entry, place)
            is_folder = entry.is_dir(follow_symlinks=False)
            if skip is not None and skip(path, is_folder):
                continue
            if is_folder:
                pending.append((path, entry.path))
            elif entry.is_symlink():
                found.links[path] = entry.path
            else:
                found.files[path] = _file(path, entry.path, entry.stat(follow_symlinks=False))
    return found


def _entries(place: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            yield from entries
    except PermissionError as exc:
        raise SpecError("a folder cannot be read", given=place, todo=f"allow reading it, or {_TODO}") from exc


def _portable(entry: os.DirEntry[str], place: str) -> str:
    if entry.name.isascii():
        return entry.name
    try:
        return os.fsencode(entry.name).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SpecError(
            "a file name is not valid UTF-8",
            given=f"{place}: {os.fsencode(entry.name)!r}",
            allowed="names that mean the same on every platform",
            todo="rename it",
        ) from exc


def _file(path: str, source: str, about: os.stat_result) -> File:
    if not stat.S_ISREG(about.st_mode):
        raise SpecError(
            "neither a file, a folder nor a link: a pipe, socket or device cannot be sent",
            given=source,
            todo=_TODO,
        )
    executable = bool(about.st_mode & stat.S_IXUSR)
    return File(path, source, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, executable)


def _through(link: str, found: _Found, top: str, active: tuple[str, ...]) -> list[File]:
    """The files that a link stands for, under the link's own path. What was left out stays out through a link too."""
    target = _target(link, found.links[link], top)
    if link in active or target == "" or link.startswith(f"{target}/"):
        raise SpecError("a link leads in circles", given=link, todo=_TODO)
    if target in found.files:
        return [found.files[target]._replace(path=link)]
    inside = f"{target}/"
    files = [
        file._replace(path=f"{link}/{path.removeprefix(inside)}")
        for path, file in found.files.items()
        if path.startswith(inside)
    ]
    for path in found.links:
        if path.startswith(inside):
            below = _through(path, found, top, (*active, link))
            files.extend(file._replace(path=f"{link}/{file.path.removeprefix(inside)}") for file in below)
            _check_number(files, top)
    return files


def _target(link: str, place: str, top: str) -> str:
    try:
        target = os.path.realpath(place, strict=True)
    except OSError as exc:
        raise SpecError("a link leads nowhere", given=link, todo=_TODO) from exc
    if target == top:
        return ""
    inside = top if top.endswith(os.sep) else f"{top}{os.sep}"
    if not target.startswith(inside):
        raise SpecError(
            "a link leaves the folder",
            given=f"{link} -> {target}",
            allowed="links to files and folders inside it",
            todo=f"put a copy in its place, or {_TODO}",
        )
    return os.fsencode(target.removeprefix(inside)).decode("utf-8").replace(os.sep, "/")


def _check_number(files: list[File], top: str) -> None:
    if len(files) > MOST_FILES:
        raise SpecError(
            "too many files", given=top, allowed=f"at most {MOST_FILES:,}", todo="look for links to folders of links"
        )
