"""Takes what the command wrote to where the request says it goes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def _file_to_store(file: Path, uri: str) -> None:
    store = _store(scheme_of(uri))
    store.upload(file, store.place_of(uri))


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


def _to_store(path: Path, uri: str, hidden: Path | None) -> None:
    store = _store(scheme_of(uri))
    place = store.place_of(uri)
    for name, file in sorted(files_below(path, hidden)):
        store.upload(file, place.below(name))


def _store(scheme: str) -> Any:
    """The module that speaks with a cloud's object store."""
    from mlinfra.runner import azure, gcs  # noqa: PLC0415  40 ms that a job without the network does not pay

    return {"gs": gcs, "https": azure}[scheme]


UPLOADERS: dict[str, Callable[[Path, str, Path | None], None]] = {
    "file": _to_file,
    "gs": _to_store,
    "https": _to_store,
}
_SENDERS: dict[str, Callable[[Path, str], None]] = {
    "file": _file_to_file,
    "gs": _file_to_store,
    "https": _file_to_store,
}
