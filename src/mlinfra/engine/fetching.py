"""Objects of the store as files of this machine: each compared with what was sent, each folder whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import Conflict, IntegrityError, NotFound
from mlinfra.modelkit.manifest import digest_file
from mlinfra.package.atomic import room_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.engine.listing import Entry
    from mlinfra.engine.session import Session

_STALE = 86_400  # seconds after which a draft folder must be a dead process's
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}


@contextmanager
def brought(session: Session, key: str, entry: Entry | None = None) -> Iterator[Path]:
    """An object as a local file for the length of the block.

    Raises:
        IntegrityError: it is missing, or not what `entry` says.
    """
    with scratch(session) as folder:
        path = folder / "object"
        fetch(session, key, path, entry)
        yield path


def fetch(session: Session, key: str, path: Path, entry: Entry | None) -> int:
    """Fetch one object into a file and return its size in bytes.

    Raises:
        IntegrityError: it is missing, or not what `entry` says.
    """
    store = session.store()
    try:
        store.download(key, path)
    except NotFound as exc:
        todo = "run the command that sent it again, from where its source is"
        raise IntegrityError("an object is gone from the store", given=store.uri(key), todo=todo) from exc
    found = digest_file(path)
    if entry is not None and (found.sha256, found.size) != entry[:2]:
        raise IntegrityError(
            "an object of the store is not what was sent there",
            given=f"{store.uri(key)}: sha256 {found.sha256}",
            allowed=f"sha256 {entry.sha256}",
            todo="run the command that sent it again, from where its source is",
        )
    return found.size


def fetch_into(session: Session, folder: Path, path: str, key: str, entry: Entry | None) -> int:
    """Fetch one object to its place below a folder and return its size in bytes.

    Raises:
        IntegrityError: it is missing, not what `entry` says, or cannot lie beside the others.
    """
    place = folder / path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        size = fetch(session, key, place, entry)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise IntegrityError("an object has the name of another one's folder", given=key) from exc
    if entry is not None and entry.executable:
        place.chmod(0o755)
    return size


@contextmanager
def scratch(session: Session) -> Iterator[Path]:
    """A folder in the project's cache that is gone when the block ends; what dead processes left goes too."""
    transit = session.folders.cache / "transit"
    with room_for(transit):
        transit.mkdir(parents=True, exist_ok=True)
        for leftover in transit.iterdir():
            with suppress(OSError):
                if leftover.stat().st_mtime < time.time() - _STALE:
                    shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(dir=transit) as folder:
            yield Path(folder)


@contextmanager
def new_target(target: Path) -> Iterator[Path]:
    """A draft beside the target that takes its place when the block ends well, and is gone when it does not.

    Raises:
        Conflict: the target exists and is not an empty folder.
        CapacityUnavailable: the disk is full.
    """
    _refuse_occupied(target)
    with room_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            yield draft
            draft.chmod(0o755)
            _publish(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _refuse_occupied(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise Conflict("the folder to fetch into holds something", given=str(target), todo="choose another folder")


def _publish(draft: Path, target: Path) -> None:
    try:
        if target.is_dir():
            target.rmdir()  # empty; Windows renames over nothing that exists
        draft.rename(target)
    except OSError as exc:
        if exc.errno not in _TAKEN:
            raise
        raise Conflict("somebody else wrote to the target meanwhile", given=str(target)) from exc
