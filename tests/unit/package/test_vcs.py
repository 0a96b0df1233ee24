from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlinfra.package import listing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    ".gitignore": "*.log\n/build/\nsecret-data/\n!keep.log\n",
    "a.py": "",
    "a.log": "",
    "keep.log": "",
    "build/x": "",
    "lib/build/y": "",
    "lib/.gitignore": "*.tmp\n!b.log\n",
    "lib/a.tmp": "",
    "lib/b.log": "",
    "lib/c.log": "",
    "lib/secret-data/z": "",
}
KEPT = {".gitignore", "a.py", "keep.log", "lib/.gitignore", "lib/b.log", "lib/build/y"}


def kept(folder: Path) -> set[str]:
    return set(dict(listing(folder)))


@pytest.fixture
def work_tree(fill: Callable[..., Path], git: Callable[..., str]) -> Path:
    folder = fill("tree", FILES)
    git(folder, "init", "--quiet")
    return folder


def test_what_git_ignores_stays_at_home(work_tree: Path) -> None:
    assert kept(work_tree) == KEPT


def test_without_git_the_ignore_files_are_read(work_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(work_tree / "no-programs-here"))
    assert kept(work_tree) == KEPT


def test_outside_a_work_tree_the_ignore_files_are_read(fill: Callable[..., Path]) -> None:
    assert kept(fill("tree", FILES)) == KEPT


def test_a_part_of_a_work_tree_obeys_the_rules_above_it(work_tree: Path) -> None:
    assert kept(work_tree / "lib") == {".gitignore", "b.log", "build/y"}


def test_what_is_tracked_travels_though_a_rule_names_it(work_tree: Path, git: Callable[..., str]) -> None:
    git(work_tree, "add", "--force", "a.log", "build/x")
    assert kept(work_tree) == KEPT | {"a.log", "build/x"}


def test_a_tracked_file_that_was_removed_is_no_matter(work_tree: Path, git: Callable[..., str]) -> None:
    git(work_tree, "add", ".")
    (work_tree / "a.py").unlink()
    assert kept(work_tree) == KEPT - {"a.py"}


def test_a_folder_that_the_tree_around_it_ignores_is_taken_as_it_is(work_tree: Path, fill: Callable[..., Path]) -> None:
    fill("tree", {"build/code/run.py": "", "build/code/.gitignore": "x.py", "build/code/x.py": ""})
    assert kept(work_tree / "build/code") == {"run.py", ".gitignore"}
    assert kept(work_tree / "build") == {"x", "code/run.py", "code/.gitignore"}


def test_a_work_tree_inside_has_rules_of_its_own(
    work_tree: Path, fill: Callable[..., Path], git: Callable[..., str]
) -> None:
    fill("tree", {"vendor/.gitignore": "*.x", "vendor/a.x": "", "vendor/b.log": "", "vendor/sub/c.x": ""})
    git(work_tree / "vendor", "init", "--quiet")
    assert kept(work_tree) == KEPT | {"vendor/.gitignore", "vendor/b.log"}


def test_settings_that_point_elsewhere_are_not_followed(
    work_tree: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    git(work_tree, "add", "--force", "a.log")
    monkeypatch.setenv("GIT_DIR", str(work_tree / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(work_tree / "nowhere"))
    assert kept(work_tree) == KEPT | {"a.log"}


def test_a_repository_runs_no_program_of_its_own(work_tree: Path, git: Callable[..., str]) -> None:
    trap = work_tree.parent / "sprung"
    git(work_tree, "add", ".")
    git(work_tree, "config", "core.fsmonitor", f"touch {trap}; false")
    assert kept(work_tree) == KEPT
    assert not trap.exists()


def test_names_with_spaces_and_letters_beyond_ascii_are_compared_as_they_are(
    work_tree: Path, fill: Callable[..., Path]
) -> None:
    fill("tree", {"größe .log": "", "größe": "", "zwei\nZeilen.log": ""})
    assert kept(work_tree) == KEPT | {"größe"}
