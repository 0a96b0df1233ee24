"""Takes what the command wrote to where the request says it goes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.runner.addresses import path_of, scheme_of
from mlinfra.runner.digest import files_below
from mlinfra.runner.problem import WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable


def upload(path: Path, uri: str, hidden: Path | None = None) -> None:
    """Take a folder, but for what is `hidden` in it, to `uri`, replacing what is there.

    Safe to repeat. Raises RunnerError.
    """
    scheme = scheme_of(uri)
    if scheme not in UPLOADERS:
        raise RunnerError(f"{uri}: nothing here writes `{scheme}://`; known: {', '.join(sorted(UPLOADERS))}", WRONG)
    UPLOADERS[scheme](path, uri, hidden)


def upload_file(file: Path, uri: str) -> None:
    """Take one file to an address of its own, replacing what is there. Safe to repeat. Raises RunnerError."""
    scheme = scheme_of(uri)
    if scheme not in _SENDERS:
        raise RunnerError(f"{uri}: nothing here writes `{scheme}://`; known: {', '.join(sorted(_SENDERS))}", WRONG)
    _SENDERS[scheme](file, uri)


def _file_to_file(file: Path, uri: str) -> None:
    target = path_of(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    shutil.copy(file, draft)
    draft.replace(target)


def _file_to_gcs(file: Path, uri: str) -> None:
    from mlinfra.runner import gcs  # noqa: PLC0415  40 ms that a job without the network does not pay

    gcs.upload(file, gcs.place_of(uri))


def _file_to_azure(file: Path, uri: str) -> None:
    from mlinfra.runner import azure  # noqa: PLC0415  as above

    azure.upload(file, azure.place_of(uri))


def _to_file(path: Path, uri: str, hidden: Path | None) -> None:
    target = path_of(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        copy = draft / "new"
        copy.mkdir()
        for name, file in files_below(path, hidden):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy / name)
        if target.is_dir():
            target.rename(draft / "old")
        copy.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _to_gcs(path: Path, uri: str, hidden: Path | None) -> None:
    from mlinfra.runner import gcs  # noqa: PLC0415  40 ms that a job without the network does not pay

    place = gcs.place_of(uri)
    for name, file in sorted(files_below(path, hidden)):
        gcs.upload(file, place.below(name))


def _to_azure(path: Path, uri: str, hidden: Path | None) -> None:
    from mlinfra.runner import azure  # noqa: PLC0415  as above

    place = azure.place_of(uri)
    for name, file in sorted(files_below(path, hidden)):
        azure.upload(file, place.below(name))


UPLOADERS: dict[str, Callable[[Path, str, Path | None], None]] = {
    "file": _to_file,
    "gs": _to_gcs,
    "https": _to_azure,
}
_SENDERS: dict[str, Callable[[Path, str], None]] = {
    "file": _file_to_file,
    "gs": _file_to_gcs,
    "https": _file_to_azure,
}
