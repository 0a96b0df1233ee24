"""The compiled walk is built when its source changes, and only then; where it cannot be built, that is said."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from mlinfra.modelkit.sealing import build


@pytest.fixture
def source(tmp_path):
    copy = tmp_path / "walk.c"
    shutil.copy(build.SOURCE, copy)
    return copy


@pytest.mark.thorough
def test_it_is_built_once_and_again_when_the_source_changes(source, tmp_path):
    target = tmp_path / "_walk.abi3.so"
    assert build.build(source, target)
    first = target.stat().st_mtime_ns
    assert not build.build(source, target)
    assert target.stat().st_mtime_ns == first
    source.write_text(source.read_text() + "\n/* changed */\n")
    assert build.build(source, target)


@pytest.mark.thorough
def test_it_is_built_with_the_compiler_that_is_asked_for(source, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", f"{shutil.which('cc')} -DASKED_FOR=1")
    assert build.compiler()[-1] == "-DASKED_FOR=1"
    assert build.build(source, tmp_path / "_walk.abi3.so")


@pytest.mark.parametrize(
    ("compiler", "reason"), [("/nowhere/cc", "cannot be run"), (f"{sys.executable} -c 'raise SystemExit(1)'", "failed")]
)
def test_a_compiler_that_does_not_work_is_named_and_leaves_nothing(compiler, reason, source, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(build.CannotBuild, match=reason):
        build.build(source, tmp_path / "_walk.abi3.so")
    assert [path.name for path in tmp_path.iterdir()] == ["walk.c"]


def test_without_any_compiler_it_says_so(source, tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.CannotBuild, match="no C compiler"):
        build.build(source, tmp_path / "_walk.abi3.so")


@pytest.mark.thorough
def test_a_source_that_does_not_compile_leaves_the_old_walk(source, tmp_path):
    target = tmp_path / "_walk.abi3.so"
    build.build(source, target)
    before = target.read_bytes()
    source.write_text("this is no C")
    with pytest.raises(build.CannotBuild, match="failed"):
        build.build(source, target)
    assert target.read_bytes() == before


def test_the_command_says_what_it_did():
    command = [sys.executable, "-m", "mlinfra.modelkit.sealing.build"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("_walk.abi3.so: up to date", "_walk.abi3.so: built")


def test_no_flag_names_a_processor_or_relaxes_arithmetic():
    assert "-ffp-contract=off" in build._FLAGS
    assert not any("fast" in flag or "march" in flag or "mcpu" in flag or "mfma" in flag for flag in build._FLAGS)


def test_the_source_compiles_without_a_warning(source, tmp_path):
    """With -Werror on top: the build itself never fails for a newer compiler's new warning."""
    command = [*build.compiler(), *build._FLAGS, "-Werror", "-fsyntax-only", f"-I{build.include()}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
