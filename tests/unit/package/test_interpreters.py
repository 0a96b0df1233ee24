from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.errors import CapabilityError, SpecError
from mlinfra.package import Lock, find_interpreter, interpreters, lock, make_environment
from mlinfra.package.installed import inspect

if TYPE_CHECKING:
    from conftest import Index

HERE = Path(sys.executable)
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTEST = f"pytest=={pytest.__version__}"


def module_version(interpreter: Path, module: str) -> str:
    command = [str(interpreter), "-c", f"import {module}; print({module}.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def locked(index: Index, tmp_path: Path, cache: Path) -> Lock:
    index.add("inner", "2.0")
    index.add("outer", "1.0", "inner")
    (tmp_path / "requirements.txt").write_text("outer\n")
    return lock(tmp_path / "requirements.txt", PYTHON, cache=cache, index=index.url)


def test_the_interpreter_that_has_the_packages_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    candidates = [tmp_path / "missing", broken, HERE]
    assert find_interpreter(PYTHON, Lock.of(f"{PYTEST}\n"), candidates) == HERE
    assert find_interpreter(PYTHON, Lock.of(""), candidates) == HERE


@pytest.mark.parametrize(
    ("python", "text"),
    [(PYTHON, "pytest==0.1\n"), (PYTHON, "not-there==1\n"), ("3.9", f"{PYTEST}\n"), (PYTHON, "a @ file:///a.whl\n")],
)
def test_no_interpreter_is_better_than_another_one(python: str, text: str) -> None:
    assert find_interpreter(python, Lock.of(text), [HERE]) is None


def test_a_build_for_one_platform_meets_a_lock_without_its_mark(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "torch-2.5.0+cu121.dist-info").mkdir(parents=True)
    here = inspect(HERE)
    assert here is not None
    assert interpreters._has_all(type(here)(HERE, here.markers, (str(site),)), Lock.of("torch==2.5.0\n"))


def test_another_interpreter_is_asked_what_it_has(locked: Lock, index: Index, cache: Path) -> None:
    made = make_environment(locked, PYTHON, cache, index=index.url)
    there = inspect(made)
    assert there is not None
    assert there.version == PYTHON
    assert {name: there.version_of(name) for name in ("inner", "outer", "pytest")} == {
        "inner": "2.0",
        "outer": "1.0",
        "pytest": None,
    }


def test_an_environment_is_made_once_and_holds_the_lock(locked: Lock, index: Index, cache: Path) -> None:
    made = make_environment(locked, PYTHON, cache, index=index.url)
    assert module_version(made, "inner") == "2.0"
    assert find_interpreter(PYTHON, locked, [HERE, made]) == made
    asked = len(index.asked)
    assert make_environment(locked, PYTHON, cache, index=index.url) == made
    assert len(index.asked) == asked


def test_several_environments_lie_side_by_side(locked: Lock, index: Index, cache: Path) -> None:
    index.add("inner", "3.0")
    other = Lock.of("inner==3.0\n")
    made = [make_environment(wanted, PYTHON, cache, index=index.url) for wanted in (locked, other, Lock.of(""))]
    assert len(set(made)) == 3
    assert [module_version(place, "inner") for place in made[:2]] == ["2.0", "3.0"]


def test_two_processes_at_once_make_one_environment(locked: Lock, index: Index, cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mlinfra.package import Lock, make_environment;"
        "print(make_environment(Lock.of(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), index=sys.argv[4]))"
    )
    command = [sys.executable, "-c", program, locked.text, PYTHON, str(cache), index.url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (place,) = found
    assert module_version(Path(place), "outer") == "1.0"
    assert len(list((cache / "environments").iterdir())) == 1


def test_an_environment_that_was_not_finished_is_not_used(
    locked: Lock, index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = interpreters._fill

    def half(place: Path, _lock: Lock, base: str, index_url: str | None) -> None:
        fill(place, Lock.of(""), base, index_url)
        raise KeyboardInterrupt

    monkeypatch.setattr(interpreters, "_fill", half)
    with pytest.raises(KeyboardInterrupt):
        make_environment(locked, PYTHON, cache, index=index.url)
    monkeypatch.undo()
    assert module_version(make_environment(locked, PYTHON, cache, index=index.url), "outer") == "1.0"


def test_packages_that_are_not_there_leave_nothing_behind(locked: Lock, index: Index, cache: Path) -> None:
    with pytest.raises(SpecError, match="cannot be met"):
        make_environment(Lock.of("missing==1.0\n"), PYTHON, cache, index=index.url)
    assert list((cache / "environments").iterdir()) == []
    assert locked.packages


def test_bytes_other_than_the_locked_ones_are_refused(locked: Lock, index: Index, cache: Path) -> None:
    tampered = locked.text.replace("--hash=sha256:", "--hash=sha256:0000")
    tampered = "\n".join(line[:-4] if line.startswith("    --hash") else line for line in tampered.splitlines()) + "\n"
    with pytest.raises(SpecError):
        make_environment(Lock.of(tampered), PYTHON, cache, index=index.url)


@pytest.mark.usefixtures("index")
def test_a_python_that_is_not_on_this_machine_is_a_missing_capability(cache: Path) -> None:
    with pytest.raises(CapabilityError, match="not on this machine"):
        make_environment(Lock.of(""), "3.99", cache)


def test_the_environment_of_a_candidate_is_built_on_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    asked: list[list[str]] = []
    run = interpreters.run_uv

    def note(arguments: list[str], place: Path, *, about: str) -> str:
        asked.append(arguments)
        return run(arguments, place, about=about)

    monkeypatch.setattr(interpreters, "run_uv", note)
    make_environment(Lock.of(""), PYTHON, cache, index=index.url, candidates=[HERE])
    assert str(HERE) in asked[0]
