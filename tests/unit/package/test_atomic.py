from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mlinfra.errors import CapacityUnavailable
from mlinfra.package.atomic import new_file, new_folder


def test_a_file_appears_whole(tmp_path: Path) -> None:
    with new_file(tmp_path / "deep/file") as file:
        file.write(b"1")
        assert not (tmp_path / "deep/file").exists()
    assert (tmp_path / "deep/file").read_bytes() == b"1"
    assert (tmp_path / "deep/file").stat().st_mode & 0o777 == 0o644


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyError):
        _write_half(tmp_path / "file")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def _write_half(place: Path) -> None:
    with new_file(place) as file:
        file.write(b"new")
        raise KeyError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_a_temporary_error_of_four_parts(tmp_path: Path, number: int) -> None:
    with pytest.raises(CapacityUnavailable) as caught, new_file(tmp_path / "file"):
        raise OSError(number, "no room")
    assert caught.value.given == str(tmp_path / "file")
    assert "free space" in caught.value.todo
    assert not caught.value.sent
    assert list(tmp_path.iterdir()) == []


def test_other_failures_of_the_disk_are_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), new_file(tmp_path / "file"):
        raise PermissionError(errno.EACCES, "no")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep/folder") as draft:
        (draft / "a").touch()
        assert not (tmp_path / "deep/folder").exists()
    with pytest.raises(KeyError), new_folder(tmp_path / "deep/other"):
        raise KeyError
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "deep",
        "deep/folder",
        "deep/folder/a",
    ]


def test_drafts_of_processes_that_were_killed_are_removed(tmp_path: Path) -> None:
    for name in (".a.old", ".a.folder", ".a.new", ".ab.old"):
        place = tmp_path / name
        place.mkdir() if name.endswith("folder") else place.touch()
        if not name.endswith("new"):
            os.utime(place, (1, 1))
    with new_file(tmp_path / "a"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.new", ".ab.old", "a"]


def test_the_folder_of_whoever_was_quicker_stays(tmp_path: Path) -> None:
    with new_folder(tmp_path / "folder") as slower:
        (slower / "a").write_text("slower")
        with new_folder(tmp_path / "folder") as quicker:
            (quicker / "a").write_text("quicker")
    assert (tmp_path / "folder/a").read_text() == "quicker"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_in_the_folders_place_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(NotADirectoryError), new_folder(tmp_path / "folder"):
        Path(tmp_path / "x").touch()
