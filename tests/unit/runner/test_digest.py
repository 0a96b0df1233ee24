from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.package import tree_digest
from mlinfra.runner.digest import content_of
from mlinfra.runner.problem import RunnerError

NAMES = st.text("ab-./ü模 ", min_size=1, max_size=6).filter(lambda name: not {"", ".", ".."} & set(name.split("/")))
TREES = st.dictionaries(NAMES, st.tuples(st.binary(max_size=9), st.booleans()), max_size=8)


@given(TREES)
@settings(max_examples=80, deadline=None)
def test_inside_and_outside_of_a_job_content_has_the_same_name(tree: dict[str, tuple[bytes, bool]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "tree")
        folder.mkdir()
        for path, (content, executable) in tree.items():
            place = folder / path
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            except OSError:  # a file where a folder is wanted
                continue
            place.chmod(0o755 if executable else 0o600)
        for place in [folder, *folder.rglob("*")]:
            inside, outside = content_of(place), tree_digest(place)
            assert (inside.digest, inside.files, inside.size) == (outside.digest, outside.files, outside.size)


def test_links_inside_are_named_alike(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("1")
    (tmp_path / "file").symlink_to("a/b/c")
    (tmp_path / "folder").symlink_to("a")
    assert content_of(tmp_path).digest == tree_digest(tmp_path).digest


def test_what_is_hidden_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = content_of(tmp_path)
    (tmp_path / ".mlinfra").mkdir()
    (tmp_path / ".mlinfra/result.json").write_text("{}")
    assert content_of(tmp_path, hidden=tmp_path / ".mlinfra") == before != content_of(tmp_path)


def test_links_in_circles_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(".")
    with pytest.raises(RunnerError, match="circles"):
        content_of(tmp_path)
    (tmp_path / "loop").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunnerError, match="neither a file nor a folder"):
        content_of(tmp_path)
