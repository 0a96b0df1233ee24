"""Bytes on their way into the object store and out of it, measured and digested as they pass."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mlinfra.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

CHUNK = 1 << 20


def stage(content: bytes | Path | BinaryIO, staged: Path, *, consume: bool) -> tuple[int, str]:
    """Bring content into a staging file and onto the disk. Returns its size and SHA-256.

    With `consume` a file is moved where its file system allows, and gone in any case.
    """
    if not isinstance(content, Path):
        return _written(io.BytesIO(content) if isinstance(content, bytes) else content, staged)
    if consume and _moved(content, staged):
        return _measured(staged)
    with content.open("rb") as source:
        measured = _written(source, staged)
    if consume:
        content.unlink()
    return measured


def verified(file: io.FileIO, sha256: str, name: str) -> BinaryIO:
    """The file as a stream that raises IntegrityError at its end if it was not what was promised."""
    return io.BufferedReader(_Verified(file, sha256, name), CHUNK)


def corrupted(name: str) -> IntegrityError:
    """What is said of an object whose bytes have changed."""
    return IntegrityError(
        "an object's bytes are not those that were stored",
        given=name,
        todo="write it again from its source, or delete it",
    )


class _Verified(io.RawIOBase):
    def __init__(self, file: io.FileIO, sha256: str, name: str) -> None:
        super().__init__()
        self._file = file
        self._expected = sha256
        self._name = name
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._file.readinto(buffer) or 0
        if count:
            self._digest.update(memoryview(buffer)[:count])
        elif self._digest.hexdigest() != self._expected:
            raise corrupted(self._name)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _moved(content: Path, staged: Path) -> bool:
    try:
        content.replace(staged)
    except OSError:  # another file system
        return False
    return True


def _measured(staged: Path) -> tuple[int, str]:
    with staged.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size, digest


def _written(source: BinaryIO, staged: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    with io.FileIO(staged, "x") as file:
        for chunk in _chunks(source):
            digest.update(chunk)
            _write_all(file, chunk)
        os.fsync(file.fileno())
        return file.tell(), digest.hexdigest()


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _write_all(file: io.FileIO, chunk: bytes) -> None:
    """A raw write may be cut short, above all on a disk that is filling up."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) or 0 :]
