"""Packs a folder of code with the runner into one zipapp: same content, same bytes, packed once.

Nothing is compressed: what zlib makes of the same input differs between its builds, and a bundle's digest must not.
"""

from __future__ import annotations

import hashlib
import json
import stat
import time
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import SpecError
from mlinfra.package.atomic import new_file
from mlinfra.package.ignore import Ignore
from mlinfra.package.kitfiles import kit_files
from mlinfra.package.statcache import sha256_of_each
from mlinfra.package.tree import fold_files, tree_digest
from mlinfra.package.walk import changed_meanwhile, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlinfra.package.walk import File

LARGEST = 50_000_000  # bytes of the user's files; data belongs to a job's inputs
_NAMED = 5  # the largest files, in the error about too large a folder
_FORMAT = 1  # raise when the same content is packed into other bytes
_KEPT = 30 * 86_400  # s after packing; whoever asks later has it packed again, to the same bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip knows no earlier time
_LOCK_NAME = "requirements.lock"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A packed folder of code."""

    path: Path
    digest: str  # of the bundle's bytes, "sha256:<hex>"
    code_digest: str  # of the user's files alone, by the rule of `tree_digest`
    files: int  # the user's
    size: int  # bytes of the bundle


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a code folder travel."""

    files: tuple[File, ...]
    withheld: tuple[str, ...]  # left out because their names are those of secrets


def select(code: Path, exclude: Iterable[Path] = ()) -> Selection:
    """Decide what travels, reading nothing but names and attributes.

    Raises SpecError where `code` is no folder, holds nothing to send, or what cannot be sent (see `walk`).
    """
    if not code.is_dir():
        raise SpecError("`code` is not a folder", given=str(code), allowed="a folder, or {git: URL, ref: SHA}")
    ignore = Ignore(code, exclude)
    files = walk(code, ignore)
    if not files:
        raise SpecError("`code` holds no file to send", given=str(code), todo="look at .gitignore and .mlinfraignore")
    return Selection(tuple(files), tuple(sorted(ignore.withheld)))


def listing(code: Path, *, exclude: Iterable[Path] = ()) -> list[tuple[str, int]]:
    """What would travel: (path from the folder, bytes), in the order of the bundle. For `plan --files`."""
    return [(file.path, file.size) for file in select(code, exclude).files]


def build_bundle(
    code: Path, *, exclude: Iterable[Path] = (), requirements_lock: str | None = None, cache: Path
) -> Bundle:
    """Pack `code` and the runner into a zipapp below `cache`, or find it there.

    `exclude` names what travels another way: a job's inputs and outputs. Blocks while files are read; safe to repeat
    and from several processes at once. Raises SpecError (what cannot be sent, more than 50 MB), Conflict (a file
    changes meanwhile), CapacityUnavailable (the disk is full; what was there stays).
    """
    selection = select(code, exclude)
    _check_size(selection.files)
    hashes = sha256_of_each(selection.files, f"code {code.resolve()}", cache)
    code_digest = fold_files(selection.files, hashes)
    kit = _kit_members(code_digest, len(selection.files), requirements_lock)
    place = cache / "bundles" / f"{_key(code_digest, kit)}.pyz"
    known = _find(place, cache)
    if known is not None:
        return known
    _forget_old(place.parent)
    _pack(place, kit, selection.files, dict(zip((file.path for file in selection.files), hashes, strict=True)))
    packed = tree_digest(place, cache)
    bundle = Bundle(place, packed.digest, code_digest, len(selection.files), packed.size)
    _note(bundle)
    return bundle


def _check_size(files: tuple[File, ...]) -> None:
    total = sum(file.size for file in files)
    if total > LARGEST:
        largest = sorted(files, key=lambda file: -file.size)[:_NAMED]
        raise SpecError(
            f"the code folder holds {total / 1e6:,.1f} MB",
            given=", ".join(f"{file.path} ({file.size / 1e6:,.1f} MB)" for file in largest),
            allowed=f"at most {LARGEST / 1e6:,.0f} MB of code; the largest files are given",
            todo="make data an input of the job, or name it in .mlinfraignore",
        )


def _kit_members(code_digest: str, files: int, requirements_lock: str | None) -> dict[str, bytes]:
    """All that is in a bundle beside the user's files."""
    about = {
        "version": 1,
        "code_digest": code_digest,
        "files": files,
        "requirements": _LOCK_NAME if requirements_lock is not None else None,
    }
    members = {**kit_files(), "mlinfra-bundle.json": json.dumps(about, sort_keys=True).encode()}
    if requirements_lock is not None:
        members[_LOCK_NAME] = requirements_lock.encode()
    return members


def _key(code_digest: str, kit: dict[str, bytes]) -> str:
    whole = hashlib.sha256(f"mlinfra-bundle {_FORMAT} {code_digest}\n".encode())
    for path, content in sorted(kit.items()):
        whole.update(f"{path} {hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def _find(place: Path, cache: Path) -> Bundle | None:
    """The bundle that was packed here before, unless somebody has touched it since."""
    with suppress(OSError, ValueError, TypeError):
        about = json.loads(_note_of(place).read_bytes())
        bundle = Bundle(path=place, **about)
        if place.is_file() and tree_digest(place, cache).digest == bundle.digest:
            return bundle
    return None


def _note(bundle: Bundle) -> None:
    about = {key: value for key, value in asdict(bundle).items() if key != "path"}
    with new_file(_note_of(bundle.path)) as note:
        note.write(json.dumps(about).encode())


def _pack(place: Path, kit: dict[str, bytes], files: tuple[File, ...], hashes: dict[str, bytes]) -> None:
    with new_file(place) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(kit.items()):
            archive.writestr(_member(path, executable=False), data)
        for file in files:
            archive.writestr(_member(f"code/{file.path}", executable=file.executable), _same(file, hashes))


def _same(file: File, hashes: dict[str, bytes]) -> bytes:
    """The file's bytes, which must be those that the digest was made of."""
    try:
        data = Path(file.source).read_bytes()
    except FileNotFoundError as exc:
        raise changed_meanwhile(file.source) from exc
    if hashlib.sha256(data).digest() != hashes[file.path]:
        raise changed_meanwhile(file.source)
    return data


def _member(path: str, *, executable: bool) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(path, _EPOCH)
    member.create_system = 3  # Unix, wherever it is packed, so that the mode counts
    member.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    return member


def _note_of(place: Path) -> Path:
    return place.with_suffix(".json")


def _forget_old(folder: Path) -> None:
    """Remove what was packed long ago."""
    for place in _old(folder):
        with suppress(OSError):
            place.unlink()


def _old(folder: Path) -> Iterator[Path]:
    limit = time.time() - _KEPT
    with suppress(OSError):
        for place in folder.iterdir():
            if place.stat().st_mtime < limit:
                yield place
