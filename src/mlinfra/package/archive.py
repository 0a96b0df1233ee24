"""Opens archives that strangers packed, and packs folders so that the same content gives the same archive.

Nothing of an archive reaches the target until all of it has passed, and only files and folders ever do: links are
where every known escape begins, so one to something in the same archive becomes a copy and any other is refused.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlinfra.errors import Conflict, IntegrityError, NotFound
from mlinfra.package.atomic import new_file, new_folder
from mlinfra.package.members import members, refused
from mlinfra.package.tree import TreeDigest, tree_digest
from mlinfra.package.walk import walk

if TYPE_CHECKING:
    from mlinfra.package.members import Member
    from mlinfra.package.walk import File

_CHUNK = 1 << 20  # bytes
_EPOCH = 315_532_800  # 1980, the earliest time that every archive format can hold
# All that the readers raise when numbers in a header make no sense.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold. An honest model compresses little; a bomb compresses a thousandfold."""

    members: int = 100_000
    size: int = 50_000_000_000  # bytes unpacked
    ratio: int = 100  # bytes unpacked for each byte of the archive ...
    floor: int = 100_000_000  # ... though this many bytes are always allowed


def extract(archive: Path, target: Path, limits: Limits | None = None) -> TreeDigest:
    """Unpack a tar, tar.gz or zip into `target`, which must not exist yet or be empty; say what it then holds.

    All or nothing. Modes become 0644 or 0755, owners and times are dropped. Blocks while it unpacks.
    Raises IntegrityError for anything that could reach outside `target`, run with another's rights or fill the disk,
    and for a damaged archive; SpecError for another format; Conflict, NotFound, CapacityUnavailable (a full disk).
    """
    if not archive.is_file():
        raise NotFound("no such archive", given=str(archive))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise Conflict("the folder to unpack into holds something", given=str(target), todo="choose another folder")
    with new_folder(target) as draft:
        _unpack(archive, draft, limits or Limits())
        return tree_digest(draft)


def write_tar_gz(folder: Path, target: Path) -> str:
    """Pack what a folder holds into a tar.gz and return its digest, "sha256:<hex>".

    Same content, same bytes, whatever the folder, times, owners, umask or order; with the same build of zlib: another
    may compress the same tar otherwise. Atomic. Raises as `walk` does, and CapacityUnavailable when the disk is full.
    """
    files = walk(folder)
    with (
        new_file(target) as raw,
        # No name or time in the header; gzip.compress would also leave the system's mark there.
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in _parents(files):
            archive.addfile(_header(path, tarfile.DIRTYPE, 0o755, 0))
        for file in files:
            with Path(file.source).open("rb") as content:
                mode = 0o755 if file.executable else 0o644
                archive.addfile(_header(file.path, tarfile.REGTYPE, mode, file.size), content)
    with target.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _unpack(archive: Path, draft: Path, limits: Limits) -> None:
    unpacker = _Unpacker(draft, limits, archive.stat().st_size)
    try:
        with archive.open("rb") as stream:
            for member in members(archive, stream):
                unpacker.add(member)
        unpacker.settle_links()
    except _BROKEN as exc:
        raise IntegrityError("the archive is damaged", given=f"{archive}: {exc}", todo="fetch it again") from exc
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise refused("a file in the place of a folder", str(exc.filename)) from exc
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # a place before the beginning of the file
            raise
        raise IntegrityError("the archive is damaged", given=str(archive), todo="fetch it again") from exc


class _Unpacker:
    """Writes members below a folder that holds nothing else, counting what they take."""

    def __init__(self, top: Path, limits: Limits, packed: int) -> None:
        self._top = top
        self._members = limits.members
        self._room = min(limits.size, max(limits.floor, limits.ratio * packed))
        self._links: dict[str, str] = {}

    def add(self, member: Member) -> None:
        """Write one member; a link waits for `settle_links`."""
        place = self._top / member.path
        self._count(member.path)
        if member.target is not None:
            if member.path in self._links:
                raise refused("a name twice", member.path)
            self._links[member.path] = member.target
        elif member.content is not None:
            self._write(place, member.content, executable=member.executable, size=member.size)
        else:
            place.mkdir(parents=True, exist_ok=True)

    def settle_links(self) -> None:
        """Put a copy in the place of each link, those first whose target holds no link that waits."""
        while self._links:
            ready = [link for link, target in self._links.items() if self._is_settled(target)]
            if not ready:
                raise refused("a link to nothing in it, or in circles", next(iter(self._links)))
            for link in ready:
                if (self._top / link).exists():
                    raise refused("a name twice", link)
                self._copy(self._top / self._links.pop(link), self._top / link)

    def _is_settled(self, target: str) -> bool:
        waiting = any(link == target or link.startswith(f"{target}/") for link in self._links)
        return bool(target) and not waiting and (self._top / target).exists()

    def _copy(self, source: Path, place: Path) -> None:
        for file in walk(source):
            self._count(str(place))
            with Path(file.source).open("rb") as content:
                self._write(place / file.path, content, executable=file.executable, size=file.size)

    def _write(self, place: Path, content: IO[bytes], *, executable: bool, size: int) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with place.open("xb") as file:
            while chunk := content.read(_CHUNK):
                written += len(chunk)
                self._room -= len(chunk)
                if self._room < 0:
                    raise refused("it unpacks to far more than it is", place.name)
                file.write(chunk)
        if written != size:
            raise IntegrityError("the archive is damaged", given=f"{place.name}: {written} of {size} bytes")
        place.chmod(0o755 if executable else 0o644)

    def _count(self, path: str) -> None:
        self._members -= 1
        if self._members < 0:
            raise refused("it has too many members", path)


def _parents(files: list[File]) -> list[str]:
    """Every folder that holds something, from the top down."""
    found = {parent.as_posix() for file in files for parent in Path(file.path).parents}
    return sorted(found - {"."})


def _header(path: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path)
    header.type, header.mode, header.size, header.mtime = kind, mode, size, _EPOCH
    return header
