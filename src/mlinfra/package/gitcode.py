"""Code named by a git commit: fetched once into the cache, exactly that commit, without its submodules."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError, NotFound, SpecError, Unavailable
from mlinfra.package.atomic import new_folder
from mlinfra.package.git import run_git

if TYPE_CHECKING:
    from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")  # SHA-1, SHA-256
_PATIENCE = 600  # s for one command of git
_LONGEST = 400  # characters of git's own words
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_ABSENT = ("not our ref", "not found", "does not exist", "does not appear to be a git repository", "not a tree object")


def fetch_code(url: str, ref: str, cache: Path) -> Path:
    """The work tree of commit `ref` of the repository at `url`, as a folder below `cache`. Do not write into it.

    Blocks while git fetches; once the commit is there, nothing is asked of the network. Never asks for a password.
    Raises SpecError unless `ref` is the full SHA of a commit, NotFound where the repository or the commit is not
    there, Unavailable where it cannot be reached, CapabilityError without git.
    """
    if not _COMMIT.fullmatch(ref):
        raise SpecError(
            "`ref` is not the full SHA of a commit",
            given=ref,
            allowed="40 or 64 hexadecimal digits; a branch or tag may mean something else tomorrow",
            todo=f"git ls-remote {without_password(url)}",
        )
    target = cache / "git" / ref
    if not target.is_dir():
        with new_folder(target) as draft:
            _fetch(url, ref, draft)
    return target


def without_password(text: str) -> str:
    """The text without the user and password that an address in it may hold."""
    return _PASSWORD.sub("", text)


def _fetch(url: str, ref: str, place: Path) -> None:
    _git(["init", "--quiet"], place, url, ref)
    _git(["fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, ref], place, url, ref)
    kind = _git(["cat-file", "-t", ref], place, url, ref).strip()
    if kind != b"commit":
        raise SpecError(f"`ref` is a {kind.decode()}", given=ref, allowed="a commit", todo=f"git rev-parse {ref}^{{}}")
    _git(["checkout", "--quiet", "--detach", ref], place, url, ref)


def _git(arguments: list[str], place: Path, url: str, ref: str) -> bytes:
    address = without_password(url)
    try:
        return run_git(arguments, place, timeout=_PATIENCE)
    except FileNotFoundError as exc:
        raise CapabilityError("code from git needs the program git", given=address, todo="install git") from exc
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"git gave no answer in {_PATIENCE} s", given=address) from exc
    except subprocess.CalledProcessError as exc:
        said = without_password(exc.stderr.decode(errors="replace")).strip()[:_LONGEST]
        if any(words in said for words in _ABSENT):
            raise NotFound(f"git found no commit {ref}: {said}", given=address, todo="check URL and SHA") from exc
        raise Unavailable(f"git could not fetch {ref}: {said}", given=address) from exc
