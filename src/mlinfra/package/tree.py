"""Names a file or a folder by its content: paths, executable bits and bytes; not times, owners or where it lies.

The digest of a file is the SHA-256 of its bytes, as any other tool computes it. That of a folder is the SHA-256 of
one line per file. `mlinfra.runner.digest` holds the same rule for the inside of a job; a test compares the two.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.package.statcache import sha256_of_each
from mlinfra.package.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mlinfra.package.walk import File


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """What a file or folder holds."""

    digest: str  # "sha256:<hex>"
    files: int
    size: int  # bytes in all


def tree_digest(path: Path, cache: Path | None = None) -> TreeDigest:
    """Name a file or folder by its content.

    With a cache folder, a file whose attributes have not changed since it was last read is not read again.
    Blocks for as long as reading takes; safe to repeat, and from several processes at once.
    Raises NotFound; SpecError for what cannot be sent (see `walk`); Conflict when a file changes meanwhile.
    """
    files = walk(path)
    hashes = sha256_of_each(files, os.path.realpath(path), cache)
    single = len(files) == 1 and not files[0].path
    digest = f"sha256:{hashes[0].hex()}" if single else fold_files(files, hashes)
    return TreeDigest(digest, len(files), sum(file.size for file in files))


def fold_files(files: Sequence[File], hashes: Sequence[bytes]) -> str:
    """The digest of a folder that holds exactly these files, in the order that `walk` gives."""
    return fold((file.path, file.executable, sha256) for file, sha256 in zip(files, hashes, strict=True))


def fold(entries: Iterable[tuple[str, bool, bytes]]) -> str:
    """The digest of a folder from (path, executable, SHA-256) in the order of the paths' bytes."""
    whole = hashlib.sha256(b"mlinfra-tree 1\n")
    for path, executable, sha256 in entries:
        mode = b"x" if executable else b"-"
        whole.update(b"%s %s %s\0" % (mode, sha256.hex().encode(), path.encode()))
    return f"sha256:{whole.hexdigest()}"
