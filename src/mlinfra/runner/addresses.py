"""What an address names, and what of it may be shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlinfra.runner.problem import WRONG, RunnerError


def scheme_of(uri: str) -> str:
    """The scheme of an address, "" for what has none. Raises RunnerError for what is no address at all."""
    try:
        return urlsplit(uri).scheme
    except ValueError as exc:
        raise RunnerError(f"{uri} is no address: {exc}", WRONG) from exc


def without_secrets(uri: str) -> str:
    """An address without user, password and query: what may stand in a log."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def path_of(uri: str) -> Path:
    """The local path that a file:// address names. Raises RunnerError for another machine's."""
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"}:
        raise RunnerError(f"{uri} is on another machine", WRONG)
    return Path(unquote(parts.path))


def last_part(uri: str) -> str:
    """The name of the file or folder that an address ends in, "" where it ends in none."""
    return unquote(urlsplit(uri).path.rstrip("/").rpartition("/")[2])
