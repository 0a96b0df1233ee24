"""Files and folders that appear whole or not at all, and the one translation of a full disk."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlinfra.errors import CapacityUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABANDONED = 86_400  # s; no draft is worked on for so long
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # disk, quota, and the limit that a shell sets on file sizes


@contextmanager
def room_for(target: Path) -> Iterator[None]:
    """Turn a full disk met while writing `target` into CapacityUnavailable."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        raise CapacityUnavailable(
            "the disk is full; nothing was changed",
            given=str(target),
            todo=f"free space on the file system of {target.parent} and run the same command again",
            sent=False,
        ) from exc


def _sweep(target: Path) -> None:
    """Remove the drafts of `target` that processes left behind when they were killed."""
    limit = time.time() - _ABANDONED
    for draft in target.parent.glob(f".{glob.escape(target.name)}.*"):
        with suppress(OSError):
            if draft.stat().st_mtime > limit:
                continue
            if draft.is_dir():
                shutil.rmtree(draft)
            else:
                draft.unlink()


@contextmanager
def new_file(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `target` when the block ends well, and vanishes when it does not.

    Raises CapacityUnavailable when the disk is full; `target` is then as it was.
    """
    with room_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder that becomes `target` when the block ends well, and vanishes when it does not.

    For content-addressed places: when another process was quicker, its folder stays and this one goes.
    Raises CapacityUnavailable when the disk is full.
    """
    with room_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            yield draft
            draft.chmod(0o755)
            try:
                draft.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
