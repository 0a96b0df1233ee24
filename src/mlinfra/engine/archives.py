"""A model package as one archive, for platforms whose serverless servers take no folder.

It lies beside the package's own folder, `<folder>.tar.gz`, and holds the same files in the same order with no date in
it, so the same package is the same archive.
"""

from __future__ import annotations

import gzip
import tarfile
from typing import TYPE_CHECKING

from mlinfra.engine.fetching import scratch
from mlinfra.engine.packages import fetch_package, models_prefix, place_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.session import Session

SUFFIX = ".tar.gz"
_LEVEL = 6


def archive_key(digest: str) -> str:
    """Where the archive of a package of that digest lies."""
    return f"{models_prefix(digest)}{SUFFIX}"


def send_archive(session: Session, version: VersionObservation) -> None:
    """Lay a version's package beside its folder as an archive, unless it lies there. Safe to kill and to repeat.

    Raises:
        CapabilityError: another tool registered the version, and the kit cannot read it.
        IntegrityError: the bytes are not those that were registered.
    """
    store = session.store()
    key = f"{place_of(session, version)}{SUFFIX}"
    if store.head(key) is not None:
        return
    session.say(f"packing {version.name} into one archive, which serverless servers take")
    with scratch(session) as place:
        folder = fetch_package(session, version, place / "package")
        archive = place / "model.tar.gz"
        pack(folder, archive)
        store.put(key, archive)


def pack(folder: Path, target: Path) -> None:
    """The files of a folder as a gzipped tar that depends on their paths, bits and content alone."""
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size = path.stat().st_size
            info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as content:
                archive.addfile(info, content)
