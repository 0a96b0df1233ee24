"""The same entries give the same layer."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from mlinfra.errors import SpecError
from mlinfra.images.layer import Entry, file_entry, folder_entries, pack


def folder(root: Path, *, reverse: bool = False, umask: int = 0o022, moment: float = 1e9) -> Path:
    before = os.umask(umask)
    try:
        contents = [("a.txt", b"a"), ("b/c.txt", b"c"), ("b-d", b"d"), ("b/tool", b"#!/bin/sh\n"), ("ü.txt", b"u")]
        for name, content in reversed(contents) if reverse else contents:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (moment, moment))
        (root / "b" / "tool").chmod(0o700)
        (root / "link").symlink_to("b/c.txt")
        (root / "__pycache__").mkdir()
        (root / "__pycache__" / "x.pyc").write_bytes(os.urandom(8))
    finally:
        os.umask(before)
    return root


def test_folder_umask_times_and_order_do_not_count(tmp_path: Path):
    one = folder(tmp_path / "one")
    two = folder(tmp_path / "elsewhere" / "two", reverse=True, umask=0o077, moment=1.7e9)
    entries = list(folder_entries(one, "opt/x"))
    first = pack(entries, "x", tmp_path / "cache1")
    second = pack(reversed(list(folder_entries(two, "opt/x"))), "x", tmp_path / "cache2")

    assert (first.digest, first.diff_id) == (second.digest, second.diff_id)
    assert first.path.read_bytes() == second.path.read_bytes()
    content = first.path.read_bytes()
    assert first.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert first.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(content)).hexdigest()}"
    assert first.size == len(content)


def test_a_layer_holds_parents_before_children_and_nothing_of_this_machine(tmp_path: Path):
    layer = pack(folder_entries(folder(tmp_path / "one"), "opt/x"), "x", tmp_path / "cache")
    with tarfile.open(layer.path) as archive:
        members = archive.getmembers()
    assert [(member.name, oct(member.mode)) for member in members] == [
        ("opt", "0o755"),
        ("opt/x", "0o755"),
        ("opt/x/a.txt", "0o644"),
        ("opt/x/b", "0o755"),
        ("opt/x/b/c.txt", "0o644"),
        ("opt/x/b/tool", "0o755"),
        ("opt/x/b-d", "0o644"),
        ("opt/x/link", "0o777"),
        ("opt/x/ü.txt", "0o644"),
    ]
    assert {(x.uid, x.gid, x.uname, x.gname, x.mtime) for x in members} == {(0, 0, "", "", 315532800)}
    assert members[7].linkname == "b/c.txt"


def test_what_was_packed_once_is_kept(tmp_path: Path):
    first = pack([file_entry("a", b"1")], "x", tmp_path)
    moment = first.path.stat().st_mtime_ns
    assert pack([file_entry("a", b"1")], "x", tmp_path) == first
    assert first.path.stat().st_mtime_ns == moment
    assert pack([file_entry("a", b"2")], "x", tmp_path).digest != first.digest


@pytest.mark.parametrize("path", ["../a", "a/../b", "/a", "a//b", "./a"])
def test_a_path_that_leaves_the_image_is_refused(tmp_path: Path, path: str):
    with pytest.raises(SpecError, match="leaves the image"):
        pack([file_entry(path, b"")], "x", tmp_path)


@pytest.mark.parametrize(
    "entries",
    [
        [file_entry("a", b"1"), file_entry("a", b"2")],
        [file_entry("a", b"1"), file_entry("a/b", b"2")],
        [file_entry("a/b", b"2"), file_entry("a", b"1")],
        [file_entry("a", b"1"), Entry("a", 0o777, link="b")],
    ],
)
def test_two_things_under_one_path_are_refused(tmp_path: Path, entries: list[Entry]):
    with pytest.raises(SpecError):
        pack(entries, "x", tmp_path)


def test_the_same_file_twice_is_one_file(tmp_path: Path):
    assert pack([file_entry("a", b"1")] * 2, "x", tmp_path) == pack([file_entry("a", b"1")], "x", tmp_path)


def test_what_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe")
    with pytest.raises(SpecError, match="files, folders and links"):
        list(folder_entries(tmp_path / "in", "x"))


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff")).write_bytes(b"")
    with pytest.raises(SpecError, match="UTF-8"):
        list(folder_entries(tmp_path / "in", "x"))
