"""Packages for a job that reaches no index: fetched once, for its machine and not for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.errors import CapabilityError, Unavailable
from mlinfra.package import Lock, fetch_wheels, wheels_key

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.thorough


def test_a_wheel_for_each_package_is_fetched_once(index: Any, tmp_path: Path):
    for name in ("one", "two"):
        index.add(name, "1.0")
    lock = Lock.of("one==1.0\ntwo==1.0\n")
    folder = fetch_wheels(lock, "3.11", cache=tmp_path / "cache", index=index.url)
    assert sorted(path.name for path in folder.iterdir()) == ["one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"]
    index.asked.clear()
    assert fetch_wheels(lock, "3.11", cache=tmp_path / "cache", index=index.url) == folder
    assert index.asked == []


def test_what_has_no_wheel_is_refused_with_the_reason_and_leaves_nothing(index: Any, tmp_path: Path):
    source = index.folder / "simple" / "three" / "index.html"
    source.parent.mkdir(parents=True)
    source.write_text('<a href="../../three-1.0.tar.gz">three-1.0.tar.gz</a>')
    with pytest.raises(CapabilityError, match="without a network builds nothing"):
        fetch_wheels(Lock.of("three==1.0\n"), "3.11", cache=tmp_path / "cache", index=index.url)
    assert not list((tmp_path / "cache" / "wheels").iterdir())


def test_another_machines_wheel_is_chosen_not_ours(index: Any, tmp_path: Path):
    wheel = index.add("four", "1.0")
    page = index.folder / "simple" / "four" / "index.html"
    names = ("four-1.0-cp39-cp39-macosx_11_0_arm64.whl", "four-1.0-cp39-cp39-manylinux_2_28_x86_64.whl")
    for name in names:
        (index.folder / name).write_bytes(wheel.read_bytes())
    page.write_text("".join(f'<a href="../../{name}">{name}</a>' for name in names))
    folder = fetch_wheels(Lock.of("four==1.0\n"), "3.9", cache=tmp_path / "cache", index=index.url)
    assert [path.name for path in folder.iterdir()] == [names[1]]


def test_an_index_that_gives_no_answer_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_RETRIES", "1")  # with none, pip does not say why it found nothing
    with pytest.raises(Unavailable):
        fetch_wheels(Lock.of("five==1.0\n"), "3.11", cache=tmp_path / "cache", index="http://127.0.0.1:9/simple/")


def test_other_packages_and_other_pythons_have_another_key():
    one = Lock.of("one==1.0\n")
    assert len({wheels_key(one, "3.11"), wheels_key(one, "3.12"), wheels_key(Lock.of("one==1.1\n"), "3.11")}) == 3
