from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from mlinfra.errors import CapabilityError, NotFound, SpecError, Unavailable
from mlinfra.package import build_bundle, fetch_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def origin(fill: Callable[..., Path], git: Callable[..., str]) -> Path:
    folder = fill("origin", {"run.py": "print(1)", ".gitignore": "*.log", "crlf.txt": b"a\r\nb\n"})
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    fill("origin", {"run.py": "print(2)"})
    git(folder, "commit", "--quiet", "--all", "--message", "two")
    return folder


def test_exactly_that_commit_is_fetched(origin: Path, git: Callable[..., str], cache: Path) -> None:
    url = origin.as_uri()
    for revision, text in (("HEAD~1", "print(1)"), ("HEAD", "print(2)")):
        folder = fetch_code(url, git(origin, "rev-parse", revision), cache)
        assert (folder / "run.py").read_text() == text
        assert (folder / "crlf.txt").read_bytes() == b"a\r\nb\n"


def test_once_fetched_nothing_is_asked_again(origin: Path, git: Callable[..., str], cache: Path) -> None:
    ref = git(origin, "rev-parse", "HEAD")
    folder = fetch_code(origin.as_uri(), ref, cache)
    shutil.rmtree(origin)
    assert fetch_code(origin.as_uri(), ref, cache) == folder


def test_fetched_code_makes_the_bundle_of_the_same_files(
    origin: Path, fill: Callable[..., Path], git: Callable[..., str], cache: Path
) -> None:
    folder = fetch_code(origin.as_uri(), git(origin, "rev-parse", "HEAD"), cache)
    by_hand = fill("copy", {"run.py": "print(2)", ".gitignore": "*.log", "crlf.txt": b"a\r\nb\n"})
    assert build_bundle(folder, cache=cache) == build_bundle(by_hand, cache=cache)


@pytest.mark.parametrize("ref", ["main", "HEAD", "v1.0", "abc123", "", "-x", "A" * 40, "a" * 41, "a" * 40 + "\n"])
def test_anything_but_a_full_sha_is_refused(origin: Path, cache: Path, ref: str) -> None:
    with pytest.raises(SpecError, match="full SHA"):
        fetch_code(origin.as_uri(), ref, cache)
    assert not cache.exists()


def test_the_sha_of_a_tag_is_refused_naming_the_way_to_the_commit(
    origin: Path, git: Callable[..., str], cache: Path
) -> None:
    git(origin, "tag", "--annotate", "--message", "x", "v1")
    ref = git(origin, "rev-parse", "v1")
    with pytest.raises(SpecError, match="is a tag"):
        fetch_code(origin.as_uri(), ref, cache)
    assert list((cache / "git").iterdir()) == []


def test_a_commit_that_is_not_there_is_not_found(origin: Path, cache: Path) -> None:
    with pytest.raises(NotFound, match="no commit"):
        fetch_code(origin.as_uri(), "0" * 40, cache)
    assert list((cache / "git").iterdir()) == []


def test_a_repository_that_is_not_there_is_not_found(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(NotFound):
        fetch_code((tmp_path / "none").as_uri(), "0" * 40, cache)


def test_passwords_in_the_address_are_not_repeated(cache: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch_code("http://user:hunter2@127.0.0.1:1/x.git", "0" * 40, cache)
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1:1/x.git" in str(caught.value)


def test_an_address_that_runs_a_program_is_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not allowed"):
        fetch_code(f"ext::sh -c touch% {tmp_path}/sprung", "0" * 40, cache)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.usefixtures("without_programs")
def test_without_git_the_error_says_so(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="needs the program git"):
        fetch_code(tmp_path.as_uri(), "0" * 40, cache)
