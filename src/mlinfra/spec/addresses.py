"""Where data and code lie: a path in the project's folder or an address with a scheme, never with credentials in it."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from mlinfra.spec.findings import Finding, Loc, wrong
from mlinfra.spec.scalars import Plain

_LONGEST: Final = 1_024  # S3's keys
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]+)://[^/\s]")
_LIKE_A_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_SIGNATURES: Final = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature", "token", "access_token"})
_ALLOWED: Final = "a path in the project's folder, or an address such as s3://, gs://, azureml:// or store://"
_INSIDE: Final = "a relative path inside the project's folder"


def scheme(address: str) -> str:
    """The scheme of an address, empty for a path."""
    found = _SCHEME.match(address)
    return found[1] if found else ""


def checked_address(value: object) -> str:
    """A path or an address as it is written; an error for what is neither, or carries credentials."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise wrong("not an address", allowed=f"text of 1 to {_LONGEST} characters", todo="write a path or an address")
    if not value.isprintable() or value != value.strip():
        raise wrong("unprintable characters in an address", allowed=_ALLOWED, todo="write them percent-encoded")
    if value.startswith("file:") or (_LIKE_A_SCHEME.match(value) and not scheme(value)):
        raise wrong("not an address", allowed=_ALLOWED, todo="write scheme://, or a relative path")
    if scheme(value) and _carries_credentials(value):
        todo = "remove them; the job's own identity reads the data"
        raise wrong("credentials in an address", allowed="addresses without credentials", todo=todo, private=True)
    return value


def project_path(value: object) -> str:
    """A path as it is written; whether it stays in the project's folder is known where the spec file is."""
    path = checked_address(value)
    if scheme(path):
        raise wrong("an address where a path belongs", allowed=_INSIDE, todo="copy it into the project's folder")
    return path


def path_findings(paths: list[tuple[Loc, str]], base: Path, project: Path) -> Iterator[Finding]:
    """Every path that leaves `project`. Paths are relative to `base`; links are followed."""
    for loc, path in paths:
        if fault := _fault(path, base, project):
            what, todo = fault
            yield Finding(loc, what, _INSIDE, todo, given=path, has_value=True)


def _carries_credentials(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.password is not None or any(key.lower() in _SIGNATURES for key, _ in parse_qsl(parts.query))


def _fault(path: str, base: Path, project: Path) -> tuple[str, str] | None:
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive or path.startswith("~"):
        return "an absolute path", "write it relative to the spec file"
    if "\\" in path:
        return "a path with backslashes", "write / between folders"
    if not _is_inside(base / path, project):
        return (
            "leads out of the project's folder",
            "copy it into the project's folder; data may also be named by its address",
        )
    return None


def _is_inside(path: Path, project: Path) -> bool:
    try:
        return path.resolve().is_relative_to(project.resolve())
    except (OSError, RuntimeError):  # a loop of links, a name too long for the file system
        return False


_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": _LONGEST}
Address = Annotated[str, Plain(checked_address, _ALLOWED, _TEXT)]
ProjectPath = Annotated[str, Plain(project_path, _INSIDE, _TEXT)]
