"""Brings a file or folder to this machine by its address, whole or not at all, and checks that it is the one meant."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlinfra.runner.addresses import path_of, scheme_of, without_secrets
from mlinfra.runner.digest import content_of
from mlinfra.runner.problem import DAMAGED, MISSING, WRONG, RunnerError

Fetcher = Callable[[str, Path, "str | None"], None]


def fetch(uri: str, target: Path, *, digest: str | None = None, token: str | None = None) -> Path:
    """Bring what `uri` names to `target`, which must not exist; return `target`.

    `digest` is "sha256:<hex>" of the file or folder; `token` is shown to an http(s) server as a bearer token.
    Blocks; repeats what may pass. Raises RunnerError, and then `target` does not exist.
    """
    scheme = scheme_of(uri)
    if scheme not in FETCHERS:
        raise RunnerError(f"{uri}: nothing here brings `{scheme}://`; known: {', '.join(sorted(FETCHERS))}", WRONG)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        arrived = draft / target.name
        FETCHERS[scheme](uri, arrived, token)
        check(arrived, digest, without_secrets(uri))
        arrived.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def check(place: Path, digest: str | None, name: str) -> None:
    """Compare what is at `place` with its digest, where there is one. Raises RunnerError where they differ."""
    if digest is not None and content_of(place).digest != digest:
        raise RunnerError(f"{name} is not what was promised: {content_of(place).digest}, not {digest}", DAMAGED)


def _from_file(uri: str, target: Path, _token: str | None) -> None:
    """A copy, so that a command which writes into its input harms nobody."""
    source = path_of(uri)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
    else:
        raise RunnerError(f"{uri}: no such file or folder", MISSING)


def _from_web(uri: str, target: Path, token: str | None) -> None:
    from mlinfra.runner import azure, web  # noqa: PLC0415  40 ms that a job without the network does not pay

    if not token and azure.is_blob(uri):
        _from_store(azure, uri, target)
    else:
        web.download(uri, target, web.bearer(token) if token else None)


def _from_gcs(uri: str, target: Path, _token: str | None) -> None:
    from mlinfra.runner import gcs  # noqa: PLC0415  as above

    _from_store(gcs, uri, target)


def _from_store(store: Any, uri: str, target: Path) -> None:
    """The object of a store, else all below it. `store` is the module that speaks with it."""
    place = store.place_of(uri)
    if store.exists(place):
        store.download(place, target)
        return
    names = list(store.names_below(place))
    if not names:
        raise RunnerError(f"{uri}: no such object, and none below it", MISSING)
    for name in names:
        file = target / name
        if not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise RunnerError(f"{uri}: an object's name leads out of the folder: {name}", DAMAGED)
        file.parent.mkdir(parents=True, exist_ok=True)
        store.download(place.below(name), file)


FETCHERS: dict[str, Fetcher] = {"file": _from_file, "http": _from_web, "https": _from_web, "gs": _from_gcs}
