"""Layers: entries in, a gzipped tar and its two digests out, the same bytes for the same entries.

Neither order, times, owners, umask nor the name of a folder counts. The compressed bytes also depend on the build of
zlib: another one gives another digest, but the same `diff_id`. What was packed once is kept under its entries' digest,
since compressing is nearly all of the cost.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlinfra.errors import SpecError
from mlinfra.images.content import EPOCH, canonical
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import ReadableBuffer

_FORMAT = 1  # raise when the same entries are packed into other bytes
_LEVEL = 6
_CHUNK = 1 << 20
_FILE, _PROGRAM, _FOLDER, _LINK = 0o644, 0o755, 0o755, 0o777
_LEFT_OUT = ("__pycache__", ".git", ".DS_Store")


@dataclass(frozen=True)
class Entry:
    """One member of a layer: a file with its bytes, a link with its target, or a folder."""

    path: str  # without a leading slash
    mode: int
    source: Path | bytes | None = None
    link: str = ""

    @property
    def kind(self) -> bytes:
        """The tar type."""
        if self.link:
            return tarfile.SYMTYPE
        return tarfile.DIRTYPE if self.source is None else tarfile.REGTYPE

    def open(self) -> IO[bytes]:
        """The bytes of a file."""
        if isinstance(self.source, Path):
            return self.source.open("rb")
        return io.BytesIO(self.source or b"")

    @property
    def size(self) -> int:
        """Bytes of a file."""
        if isinstance(self.source, Path):
            return self.source.stat().st_size
        return len(self.source or b"")


@dataclass(frozen=True)
class Layer:
    """A packed layer on this machine."""

    path: Path
    digest: str  # of the compressed bytes
    diff_id: str  # of the tar itself
    size: int  # bytes, compressed
    about: str  # for the image's history


def file_entry(path: str, source: Path | bytes, *, program: bool = False) -> Entry:
    """A file of the image."""
    return Entry(path, _PROGRAM if program else _FILE, source)


def folder_entries(folder: Path, target: str) -> Iterator[Entry]:
    """Everything below a folder, placed below `target`. Bytecode and version control stay out.

    Raises:
        SpecError: something there is neither file, folder nor link, or its name is not UTF-8.
    """
    for place in folder.rglob("*"):
        inside = place.relative_to(folder)
        if place.suffix == ".pyc" or any(part in _LEFT_OUT for part in inside.parts):
            continue
        path, about = f"{target}/{_text(inside)}", place.lstat()
        if stat.S_ISLNK(about.st_mode):
            yield Entry(path, _LINK, link=str(place.readlink()))
        elif stat.S_ISDIR(about.st_mode):
            yield Entry(path, _FOLDER)
        elif stat.S_ISREG(about.st_mode):
            yield file_entry(path, place, program=bool(about.st_mode & stat.S_IXUSR))
        else:
            raise SpecError("a layer holds files, folders and links alone", given=str(place), todo="remove it")


def pack(entries: Iterable[Entry], about: str, cache: Path) -> Layer:
    """Pack entries, or take what the same entries were packed into before. Blocks while it compresses.

    Raises:
        SpecError: a path leaves the image, or two entries differ under the same path.
        CapacityUnavailable: the disk is full.
    """
    ordered = _ordered(entries)
    key = hashlib.sha256(canonical([_FORMAT, [_identity(entry) for entry in ordered]])).hexdigest()
    kept, packed = cache / f"{key}.json", cache / f"{key}.tar.gz"
    if not (kept.exists() and packed.exists()):
        with new_file(packed) as raw:
            facts = _write(ordered, raw)
        with new_file(kept) as file:
            file.write(canonical(facts))
    facts = json.loads(kept.read_bytes())
    return Layer(packed, facts["digest"], facts["diff_id"], packed.stat().st_size, about)


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted by path, every parent folder an entry of its own."""
    found: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.path.split("/")
        if "" in parts or ".." in parts or "." in parts:
            raise SpecError("a path of a layer leaves the image", given=entry.path)
        known = found.get(entry.path)
        if known is not None and _identity(known) != _identity(entry):
            raise SpecError("two files of a layer have the same path", given=entry.path, todo="remove one of them")
        found[entry.path] = entry
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if found.setdefault(folder, Entry(folder, _FOLDER)).kind != tarfile.DIRTYPE:
                raise SpecError("a file of a layer lies in the place of a folder", given=folder)
    return [found[path] for path in sorted(found, key=lambda path: path.split("/"))]


def _identity(entry: Entry) -> list[object]:
    if entry.source is None:
        return [entry.path, entry.mode, entry.link]
    found = hashlib.sha256()
    with entry.open() as content:
        while chunk := content.read(_CHUNK):
            found.update(chunk)
    return [entry.path, entry.mode, found.hexdigest()]


def _write(entries: list[Entry], raw: IO[bytes]) -> dict[str, str]:
    outer = _Counted(raw.write)
    # no name or time in the header; gzip.compress would also leave the system's mark there
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=outer, mtime=0) as packed:
        inner = _Counted(packed.write)
        with tarfile.open(fileobj=inner, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as archive:
            for entry in entries:
                with entry.open() as content:
                    archive.addfile(_header(entry), content if entry.kind == tarfile.REGTYPE else None)
    return {"digest": outer.digest, "diff_id": inner.digest}


def _header(entry: Entry) -> tarfile.TarInfo:
    header = tarfile.TarInfo(entry.path)
    header.type, header.mode, header.mtime = entry.kind, entry.mode, EPOCH
    header.linkname, header.size = entry.link, entry.size
    return header


class _Counted(io.RawIOBase):
    """A stream that names what passes through it."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._pass = write
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: ReadableBuffer, /) -> int:
        whole = bytes(content)
        self._hash.update(whole)
        self._pass(whole)
        return len(whole)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _text(path: Path) -> str:
    """A path in UTF-8 whatever the locale is."""
    try:
        return os.fsencode(path.as_posix()).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SpecError("a file's name is not UTF-8", given=repr(path), todo="rename it") from exc
