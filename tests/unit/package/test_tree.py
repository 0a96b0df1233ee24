from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.errors import Conflict, NotFound, SpecError
from mlinfra.package import statcache, walk
from mlinfra.package.tree import tree_digest

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 200)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=20), max_size=6)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose content was read, in order."""
    seen: list[str] = []
    read = statcache._read

    def counted(file: walk.File) -> statcache._Entry:
        seen.append(file.path)
        return read(file)

    monkeypatch.setattr(statcache, "_read", counted)
    return seen


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had last been touched long before it was read."""
    monkeypatch.setattr(statcache, "_FINE_TICK", -(10**12))
    monkeypatch.setattr(statcache, "_COARSE_TICK", -(10**12))


def test_the_digest_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    place = tmp_path / "a.bin"
    place.write_bytes(b"content")
    found = tree_digest(place)
    assert found.digest == f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    assert (found.files, found.size) == (1, 7)


def test_the_digest_of_a_folder_follows_the_written_rule(fill: Callable[..., Path]) -> None:
    folder = fill("tree", {"b/c": "2", "a": "1", "b-": "3"})
    (folder / "a").chmod(0o755)
    sha = [hashlib.sha256(text).hexdigest().encode() for text in (b"1", b"3", b"2")]
    lines = b"mlinfra-tree 1\nx %s a\0- %s b-\0- %s b/c\0" % tuple(sha)
    assert tree_digest(folder).digest == f"sha256:{hashlib.sha256(lines).hexdigest()}"


def test_place_times_order_and_empty_folders_do_not_count(fill: Callable[..., Path]) -> None:
    one = fill("one", {"a": "1", "b/c": "2"})
    two = fill("two", {"b/c": "2", "a": "1"})
    os.utime(two / "a", (1, 1))
    (two / "empty").mkdir()
    assert tree_digest(one) == tree_digest(two)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a").write_text("3"),
        lambda folder: (folder / "a").rename(folder / "z"),
        lambda folder: (folder / "a").chmod(0o755),
        lambda folder: (folder / "a").unlink(),
        lambda folder: (folder / "new").write_text(""),
    ],
    ids=["content", "name", "executable", "removed", "added"],
)
def test_content_names_and_executable_bits_count(fill: Callable[..., Path], change: Callable[[Path], object]) -> None:
    folder = fill("one", {"a": "1", "b/c": "2"})
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder).digest != before.digest


@given(TREES)
@settings(max_examples=60, deadline=None)
def test_equal_folders_have_equal_digests_with_and_without_a_cache(tree: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        one, two, cache = (Path(scratch, name) for name in ("one", "two", "cache"))
        made = _make(one, list(tree.items()))
        assert _make(two, list(reversed(list(tree.items()))), only=made) == made
        plain = tree_digest(one)
        assert plain == tree_digest(two) == tree_digest(one, cache) == tree_digest(one, cache)
        assert plain.files == len(made)


def _make(folder: Path, items: list[tuple[str, bytes]], only: set[str] | None = None) -> set[str]:
    """Write what can lie side by side; say what that was."""
    folder.mkdir()
    made = set()
    for path, content in items:
        if only is not None and path not in only:
            continue
        place = folder / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        except OSError:  # a file where a folder is wanted
            continue
        made.add(path)
    return made


@pytest.mark.usefixtures("settled")
def test_an_unchanged_folder_is_not_read_again(fill: Callable[..., Path], cache: Path, reads: list[str]) -> None:
    folder = fill("tree", {f"{number}.txt": str(number) for number in range(50)})
    first = tree_digest(folder, cache)
    assert len(reads) == 50
    assert tree_digest(folder, cache) == first
    assert len(reads) == 50


@pytest.mark.usefixtures("settled")
def test_of_a_changed_folder_only_the_changed_file_is_read(
    fill: Callable[..., Path], cache: Path, reads: list[str]
) -> None:
    folder = fill("tree", {f"{number}.txt": str(number) for number in range(50)})
    tree_digest(folder, cache)
    (folder / "7.txt").write_text("other")
    (folder / "9.txt").unlink()
    del reads[:]
    changed = tree_digest(folder, cache)
    assert reads == ["7.txt"]
    assert changed == tree_digest(folder)


@pytest.mark.usefixtures("settled")
def test_a_file_put_back_to_its_old_size_and_time_is_read_again(
    fill: Callable[..., Path], cache: Path, reads: list[str]
) -> None:
    folder = fill("tree", {"a": "old"})
    before = tree_digest(folder, cache)
    about = (folder / "a").stat()
    time.sleep(0.02)  # the change time moves on
    (folder / "a").write_text("new")
    os.utime(folder / "a", ns=(about.st_atime_ns, about.st_mtime_ns))
    del reads[:]
    assert tree_digest(folder, cache).digest != before.digest
    assert reads == ["a"]


def test_a_second_write_within_one_tick_of_the_clock_is_seen(fill: Callable[..., Path], cache: Path) -> None:
    folder = fill("tree", {"a": "0000"})
    for number in range(200):
        with (folder / "a").open("r+") as file:
            file.write(f"{number:04}")
        assert tree_digest(folder, cache) == tree_digest(folder)


@pytest.mark.parametrize(
    ("touched", "checked", "held"),
    [
        (1_000_000_001, 1_000_000_001, False),
        (1_000_000_001, 1_010_000_001, False),
        (1_000_000_001, 1_030_000_001, True),
        (1_000_000_000, 1_030_000_000, False),  # whole milliseconds: perhaps a clock of two seconds
        (1_000_000_000, 3_030_000_000, True),
    ],
)
def test_an_entry_counts_only_when_the_file_was_touched_clearly_before_it_was_read(
    touched: int, checked: int, *, held: bool
) -> None:
    entry = statcache._Entry(1, touched, touched, 5, checked, b"")
    assert statcache._holds(entry, walk.File("a", "/a", 1, touched, touched, 5, executable=False)) is held


@pytest.mark.parametrize("content", [b"this is no database", b""])
def test_a_damaged_cache_costs_time_alone(fill: Callable[..., Path], cache: Path, content: bytes) -> None:
    folder = fill("tree", {"a": "1"})
    cache.mkdir()
    (cache / "digests.sqlite").write_bytes(content)
    assert tree_digest(folder, cache) == tree_digest(folder)
    assert tree_digest(folder, cache) == tree_digest(folder)


def test_a_cache_that_cannot_be_written_costs_time_alone(fill: Callable[..., Path], tmp_path: Path) -> None:
    folder = fill("tree", {"a": "1"})
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("a file")
    assert tree_digest(folder, in_the_way) == tree_digest(folder)


def test_several_at_once_share_a_cache(fill: Callable[..., Path], cache: Path) -> None:
    folder = fill("tree", {f"{number}": str(number) for number in range(100)})
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tree_digest(folder, cache), range(16)))
    assert set(found) == {tree_digest(folder)}


def test_folders_that_nobody_asks_about_are_forgotten(
    fill: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = fill("old", {"a": "1"}), fill("new", {"a": "1"})
    tree_digest(old, cache)
    monkeypatch.setattr(statcache, "_KEPT", -1.0)
    tree_digest(new, cache)
    with sqlite3.connect(cache / "digests.sqlite") as database:
        assert database.execute("SELECT count(*) FROM file").fetchone() == (0,)
    database.close()


def test_a_file_that_changes_while_it_is_read_is_a_conflict(fill: Callable[..., Path]) -> None:
    folder = fill("tree", {"a": "1"})
    (file,) = walk.walk(folder)
    (folder / "a").write_text("another length")
    with pytest.raises(Conflict, match="changed while it was read"):
        statcache.sha256_of_each([file], str(folder), None)
    (folder / "a").unlink()
    with pytest.raises(Conflict, match="changed while it was read"):
        statcache.sha256_of_each([file], str(folder), None)


def test_links_inside_the_folder_stand_for_what_they_lead_to(fill: Callable[..., Path]) -> None:
    linked = fill("linked", {"lib/a": "1", "lib/sub/b": "2"})
    (linked / "file").symlink_to("lib/a")
    (linked / "folder").symlink_to(linked / "lib")
    (linked / "again").symlink_to("folder")
    copied = fill("copied", {"lib/a": "1", "lib/sub/b": "2", "file": "1"})
    for name in ("folder", "again"):
        shutil.copytree(copied / "lib", copied / name)
    assert tree_digest(linked) == tree_digest(copied)


def test_a_root_may_be_a_link(fill: Callable[..., Path], tmp_path: Path) -> None:
    folder = fill("tree", {"a": "1"})
    (tmp_path / "link").symlink_to(folder)
    assert tree_digest(tmp_path / "link") == tree_digest(folder)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/etc/hostname", "leaves the folder"),
        ("../beside", "leaves the folder"),
        ("nowhere", "leads nowhere"),
        ("link", "leads nowhere"),
        (".", "leads in circles"),
    ],
)
def test_other_links_are_refused(fill: Callable[..., Path], target: str, words: str) -> None:
    fill("beside", {"a": "1"})
    folder = fill("tree", {"a": "1"})
    (folder / "link").symlink_to(target)
    with pytest.raises(SpecError, match=words) as caught:
        tree_digest(folder)
    assert "link" in str(caught.value)


def test_links_that_lead_to_each_other_are_refused(fill: Callable[..., Path]) -> None:
    folder = fill("tree", {"a/1": "1", "b/2": "2"})
    (folder / "a/to_b").symlink_to("../b")
    (folder / "b/to_a").symlink_to("../a")
    with pytest.raises(SpecError, match="circles"):
        tree_digest(folder)


def test_links_that_multiply_files_without_bound_are_refused(
    fill: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MOST_FILES", 1_000)
    folder = fill("tree", {"0/a": "1"})
    for number in range(1, 40):
        (folder / f"{number}").mkdir()
        for name in ("x", "y"):
            (folder / f"{number}/{name}").symlink_to(f"../{number - 1}")
    with pytest.raises(SpecError, match="too many files"):
        tree_digest(folder)


def test_pipes_and_names_that_are_not_utf8_are_refused(fill: Callable[..., Path]) -> None:
    folder = fill("tree", {"a": "1"})
    os.mkfifo(folder / "pipe")
    with pytest.raises(SpecError, match="neither a file"):
        tree_digest(folder)
    (folder / "pipe").unlink()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    with pytest.raises(SpecError, match="not valid UTF-8"):
        tree_digest(folder)


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file or folder"):
        tree_digest(tmp_path / "nothing")


def test_the_depth_of_a_folder_costs_no_stack(tmp_path: Path) -> None:
    place = tmp_path / "deep"
    deepest = place.joinpath(*["d"] * 300)
    deepest.mkdir(parents=True)
    (deepest / "a").write_text("1")
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert tree_digest(place).files == 1
    finally:
        sys.setrecursionlimit(usual)
