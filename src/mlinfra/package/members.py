"""What an archive says it holds, one member at a time, in one form for tar and zip; nothing is written here."""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import stat
import tarfile
import zipfile
from typing import IO, TYPE_CHECKING, NamedTuple

from mlinfra.errors import IntegrityError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_ONCE = 4 << 20  # bytes; a header that asks for more memory than this is no header
_BLOCK = 512  # bytes, of a tar
_PADDING = 1 << 20  # bytes that may follow the end of a tar
_NAME_LIMIT = 255  # bytes of one part of a path, on every file system in use
_PATH_LIMIT = 1_024  # bytes of a whole path, on the strictest platform
_ODD = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:")  # means something else on another system
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1  # flag bit of a zip member


class Member(NamedTuple):
    """One member, its path and rights checked: a file has `content`, a link a `target`, a folder neither."""

    path: str  # from the archive's top; "" is the top itself
    executable: bool = False
    content: IO[bytes] | None = None
    size: int = 0  # bytes of the content, as declared
    target: str | None = None  # from the archive's top


def members(archive: Path, stream: IO[bytes]) -> Iterator[Member]:
    """The members of an open archive in its own order; read a member's content before asking for the next.

    Raises IntegrityError for what no honest archive holds, SpecError for another format.
    """
    start = stream.read(_BLOCK)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(stream) as unpacked:
            yield from _tar(unpacked)
    elif start.startswith(b"PK"):
        with zipfile.ZipFile(stream) as opened:
            for info in opened.infolist():
                yield _zip_member(opened, info)
    elif start[257:262] == b"ustar":
        yield from _tar(stream)
    else:
        raise SpecError("not an archive of a known format", given=str(archive), allowed="tar, tar.gz, zip")


def refused(what: str, name: str) -> IntegrityError:
    """The error for a member that no honest archive holds."""
    return IntegrityError(f"the archive is refused: {what}", given=name, todo="ask its author for another")


def _tar(stream: IO[bytes] | gzip.GzipFile) -> Iterator[Member]:
    frugal = _Frugal(stream)
    with tarfile.open(fileobj=frugal, mode="r:", errors="surrogateescape") as opened:
        for info in opened:
            yield _tar_member(opened, info)
        frugal.seek(opened.offset)
    # tarfile takes a damaged header for the end: only an empty block is one.
    if frugal.read(_BLOCK) != bytes(_BLOCK):
        raise IntegrityError("the archive is cut off", given=f"after {opened.offset} bytes", todo="fetch it again")
    if len(frugal.read(_PADDING)) == _PADDING:  # reading on also lets gzip compare its checksum
        raise refused("it goes on after its end", f"after {opened.offset} bytes")


def _tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    path = _checked_path(info.name)
    executable = _checked_mode(info.mode, info.name)
    if info.isreg():
        return Member(path, executable, content=opened.extractfile(info), size=info.size)
    if info.isdir():
        return Member(path)
    if info.islnk():
        return Member(path, target=_checked_path(info.linkname))
    if info.issym() and not info.linkname.startswith("/"):
        return Member(path, target=_checked_path(posixpath.join(posixpath.dirname(path), info.linkname), settle=True))
    raise refused("a link that leaves it" if info.issym() else "a device or pipe", info.name)


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    path = _checked_path(info.orig_filename)
    mode = info.external_attr >> 16
    executable = _checked_mode(mode, path)
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise refused("a link, device or pipe in a zip", path)
    if info.is_dir():
        return Member(path)
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _COMPRESSIONS:
        raise refused("encrypted, or compressed in an unusual way", path)
    return Member(path, executable, content=opened.open(info), size=info.file_size)


def _checked_mode(mode: int, name: str) -> bool:
    """Is the member executable? Refuse one that would run with another's rights."""
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise refused("a file that runs with another's rights", name)
    return bool(mode & stat.S_IXUSR)


def _checked_path(name: str, *, settle: bool = False) -> str:
    """A member's path in its shortest form, refused unless it stays inside and means the same everywhere.

    `settle` resolves `..` first, as a link's target may hold it.
    """
    path = posixpath.normpath(name) if settle else name
    parts = [part for part in path.split("/") if part not in {"", "."}]
    try:
        lengths = [len(part.encode()) for part in parts]
    except UnicodeEncodeError as exc:
        raise refused("a name that is not valid UTF-8", ascii(name)) from exc
    if path.startswith("/") or ".." in parts:
        raise refused("a path that leads out of it", name)
    if _ODD.search(path):
        raise refused("a name that means something else on another system", ascii(name))
    if max(lengths, default=0) > _NAME_LIMIT or sum(lengths) + len(parts) > _PATH_LIMIT:
        raise refused("a name too long", name)
    return "/".join(parts)


class _Frugal(io.RawIOBase):
    """A stream to read from that refuses to fill the memory: tarfile reads a header's declared length in one piece."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        if not 0 <= size <= _AT_ONCE:
            raise refused("a header of enormous length", f"{size} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the stream."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The place in the stream."""
        return self._stream.tell()
