from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from mlinfra.errors import CapabilityError, SpecError, Unavailable
from mlinfra.package import lock, requirements, uvtool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Index

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "run_uv", lambda *_, **__: pytest.fail("uv was asked"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(text: str, name: str = "requirements.txt") -> Path:
        place = tmp_path / name
        place.write_text(text)
        return place

    return make


@pytest.mark.usefixtures("without_uv")
def test_no_file_is_an_empty_lock(cache: Path) -> None:
    found = lock(None, PYTHON, cache=cache)
    assert (found.text, found.packages) == ("", ())


@pytest.mark.usefixtures("without_uv")
def test_what_is_installed_here_is_pinned_with_all_it_needs(write: Callable[..., Path], cache: Path) -> None:
    found = lock(write("# a comment\npytest>=8 # another\nClick\n"), PYTHON, cache=cache)
    names = [package.partition("==")[0] for package in found.packages]
    assert names == sorted(names)
    assert {"click", "pytest", "pluggy", "packaging", "iniconfig"} <= set(names)
    assert found.packages[names.index("pytest")] == f"pytest=={pytest.__version__}"
    assert found.text == "".join(f"{package}\n" for package in found.packages)
    assert not cache.exists()


@pytest.mark.usefixtures("without_uv")
def test_markers_extras_constraints_and_nested_files_are_followed(write: Callable[..., Path], cache: Path) -> None:
    write("pluggy<100\n", "limits.txt")
    write("click; python_version > '3'\nnot-there; python_version < '3'\n", "more.txt")
    found = lock(
        write("-r more.txt\n-c limits.txt\npytest-xdist[psutil] ; extra == 'x'\npytest \\\n  >=8\n"),
        PYTHON,
        cache=cache,
    )
    names = [package.partition("==")[0] for package in found.packages]
    assert {"click", "pytest", "pluggy"} <= set(names)
    assert "not-there" not in names


def test_what_does_not_fit_is_resolved_by_uv_with_hashes(write: Callable[..., Path], cache: Path, index: Index) -> None:
    index.add("inner", "2.0")
    index.add("inner", "3.0")
    index.add("outer", "1.0", "inner<3")
    found = lock(write("outer\n"), PYTHON, cache=cache, index=index.url)
    assert found.packages == ("inner==2.0", "outer==1.0")
    assert found.text.count("--hash=sha256:") == 2
    assert "127.0.0.1" not in found.text


def test_a_constraint_that_rules_out_what_is_installed_asks_uv(
    write: Callable[..., Path], cache: Path, index: Index
) -> None:
    index.add("click", "0.1")
    write("click<1\n", "limits.txt")
    found = lock(write("click\n-c limits.txt\n"), PYTHON, cache=cache, index=index.url)
    assert found.packages == ("click==0.1",)


@pytest.mark.parametrize("line", ["--prefer-binary", "--no-binary :none:"])
def test_a_file_with_options_is_left_to_uv(write: Callable[..., Path], cache: Path, index: Index, line: str) -> None:
    index.add("click", "99.0")
    found = lock(write(f"{line}\nclick\n"), PYTHON, cache=cache, index=index.url)
    assert found.packages == ("click==99.0",)


def test_the_answer_is_kept_until_the_file_changes(write: Callable[..., Path], cache: Path, index: Index) -> None:
    index.add("outer", "1.0")
    write("outer\n", "more.txt")
    file = write("-r more.txt\n")
    first = lock(file, PYTHON, cache=cache, index=index.url)
    asked = len(index.asked)
    index.add("outer", "2.0")
    assert lock(file, PYTHON, cache=cache, index=index.url) == first
    assert len(index.asked) == asked
    write("outer>1\n", "more.txt")
    assert lock(file, PYTHON, cache=cache, index=index.url).packages == ("outer==2.0",)


@pytest.mark.parametrize("line", ["./lib", "-e ./lib", "lib @ {uri}"])
def test_a_requirement_that_lies_on_this_machine_alone_is_refused(
    write: Callable[..., Path], cache: Path, index: Index, line: str
) -> None:
    index.add("setuptools", "80")
    project = write("[project]\nname = 'lib'\nversion = '1'\ndependencies = []\n", "lib.toml")
    (project.parent / "lib").mkdir()
    project.rename(project.parent / "lib/pyproject.toml")
    uri = (project.parent / "lib").as_uri()
    with pytest.raises(SpecError, match="a folder of this machine"):
        lock(write(f"{line.format(uri=uri)}\n"), PYTHON, cache=cache, index=index.url)


def test_another_platform_is_never_locked_from_what_is_installed_here(
    write: Callable[..., Path], cache: Path, index: Index
) -> None:
    index.add("click", "99.0")
    found = lock(write("click\n"), PYTHON, cache=cache, index=index.url, platform="windows")
    assert found.packages == ("click==99.0",)


@pytest.mark.thorough
def test_another_python_is_never_locked_from_what_is_installed_here(
    write: Callable[..., Path], cache: Path, index: Index
) -> None:
    index.add("click", "99.0")
    assert lock(write("click\n"), "3.9", cache=cache, index=index.url).packages == ("click==99.0",)


def test_requirements_that_cannot_be_met_give_the_reason(write: Callable[..., Path], cache: Path, index: Index) -> None:
    index.add("inner", "1.0")
    index.add("outer", "1.0", "inner>=2")
    with pytest.raises(SpecError, match="cannot be met") as caught:
        lock(write("outer\n"), PYTHON, cache=cache, index=index.url)
    assert "inner>=2" in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert list(cache.glob("locks/*")) == []


def test_an_index_that_gives_no_answer_is_a_temporary_error_without_its_password(
    write: Callable[..., Path], cache: Path, index: Index
) -> None:
    index.add("click", "99.0")
    with pytest.raises(Unavailable) as caught:
        lock(write("click==99\n"), PYTHON, cache=cache, index="http://user:hunter2@127.0.0.1:1/simple")
    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("without_uv")
def test_every_line_that_is_no_requirement_is_named(write: Callable[..., Path], cache: Path) -> None:
    write("fine\nalso not fine\n", "more.txt")
    with pytest.raises(SpecError) as caught:
        lock(write("click\n= 3\n-r more.txt\n-r missing.txt\n"), PYTHON, cache=cache)
    where = [(problem.file.rpartition("/")[2], problem.line) for problem in caught.value.problems]
    assert where == [("requirements.txt", 2), ("more.txt", 2), ("missing.txt", 0)]


@pytest.mark.usefixtures("without_uv")
def test_files_that_name_each_other_are_read_once(write: Callable[..., Path], cache: Path) -> None:
    write("-r requirements.txt\nclick\n", "more.txt")
    assert "click" in lock(write("-r more.txt\n"), PYTHON, cache=cache).text


def test_without_uv_the_error_says_how_to_get_it(
    write: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(CapabilityError, match="uv is missing"):
        lock(write("not-installed-anywhere\n"), PYTHON, cache=cache)


@pytest.mark.parametrize(
    ("said", "short"),
    [
        (
            "error: No solution found\n  cause: Because a==1 and\n      b, unsatisfiable.\n",
            "No solution found Because a==1 and b, unsatisfiable.",
        ),
        ("  \u00d7 No solution found:\n  ╰─▶ Because a\n      hint: try b\n", "No solution found: Because a"),
        ("warning: old\nUsing Python 3.11\nerror: https://u:p@host/x failed", "https://host/x failed"),
    ],
)
def test_the_words_of_uv_are_shortened(said: str, short: str) -> None:
    assert uvtool.shorten_refusal(said) == short
