from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.runner import requirements
from mlinfra.runner.problem import RunnerError
from mlinfra.runner.requirements import install, installed, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Job

LOCK = """\
# a comment
scikit_learn==1.9.1 \\
    --hash=sha256:00 \\
    --hash=sha256:11
numpy==2.4.6  # via scikit-learn
torch==2.5.0
uvicorn[standard]==0.3 ; python_version > "3"
local @ file:///wheels/local.whl
"""


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with one wheel: `greeting` 1.0."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    about = "greeting-1.0.dist-info"
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "text = 'hello'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"greeting.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return folder


def test_a_lock_is_compared_with_what_is_there() -> None:
    present = {"scikit-learn": "1.9.1", "numpy": "2.4.5", "torch": "2.5.0+cu121"}
    lacking = missing(LOCK, present)
    assert [(package.name, package.version) for package in lacking] == [
        *(("numpy", "2.4.6"), ("uvicorn", "0.3"), ("local", None)),
    ]
    assert lacking[0].text == "numpy==2.4.6"
    everything = missing(LOCK, {})
    assert everything[0].text == "scikit_learn==1.9.1 --hash=sha256:00 --hash=sha256:11"
    assert missing(LOCK, {**present, "numpy": "2.4.6", "uvicorn": "0.3", "local": "7"}) == []
    assert missing("torch==2.5.0+cu121\n", {"torch": "2.5.0"})


def test_what_is_installed_is_seen_without_importing_it(tmp_path: Path) -> None:
    for name in ("Scikit_Learn-1.9.1.dist-info", "old-2.0-py3.9.egg-info", "odd", "x-1.0.dist-info"):
        (tmp_path / "a" / name).mkdir(parents=True)
    (tmp_path / "b/x-2.0.dist-info").mkdir(parents=True)
    search = [str(tmp_path / "a"), str(tmp_path / "none"), str(tmp_path / "b")]
    assert installed(search) == {"scikit-learn": "1.9.1", "old": "2.0", "x": "1.0"}
    assert installed(sys.path)["pytest"] == pytest.__version__


@pytest.mark.parametrize("program", [pytest.param("pip", marks=pytest.mark.thorough), "uv"])
def test_what_is_missing_is_installed_from_a_folder_of_wheels(
    job: Callable[..., Job], wheels: Path, program: str, tmp_path: Path
) -> None:
    ready = job("import greeting, os; print(greeting.text)")
    ready.lock = "greeting==1.0\n"
    ready.variables = {"MLINFRA_WHEELS": str(wheels), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    if program == "uv":
        from uv import find_uv_bin  # noqa: PLC0415  only this case needs it

        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/uv").symlink_to(find_uv_bin())
        ready.variables["PATH"] = f"{tmp_path}/bin:/usr/bin:/bin"
    done = ready.run()
    assert (done.exit_code, done.out) == (0, "hello\n"), done.err
    assert "greeting==1.0" in done.result["requirements"]


def test_what_cannot_be_installed_ends_the_job_with_the_installers_words(job: Callable[..., Job], wheels: Path) -> None:
    ready = job("print('ran')")
    ready.lock = "greeting==2.0\n"
    ready.variables = {"MLINFRA_WHEELS": str(wheels), "PATH": "/usr/bin:/bin"}
    done = ready.run()
    assert (done.exit_code, done.out, done.result["phase"]) == (4, "", "requirements")
    assert "greeting==2.0" in done.failure


def test_what_is_there_is_not_installed_again(job: Callable[..., Job]) -> None:
    ready = job("print('ran')")
    present = ready.run().result["requirements"]
    ready.lock = "".join(f"{package}\n" for package in present if package.startswith(("pip==", "setuptools==")))
    assert ready.lock
    ready.variables = {"MLINFRA_WHEELS": "/no/such/folder", "PATH": "/nowhere"}
    assert ready.run().out == "ran\n"


def test_lines_with_and_without_hashes_are_installed_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[str] = []
    monkeypatch.setattr(requirements, "_run", lambda command: files.append(Path(command[-1]).read_text()))
    install(missing(LOCK, {}), tmp_path / "site", None)
    assert [text.count("--hash") for text in files] == [2, 0]
    assert files[1].splitlines()[0] == "numpy==2.4.6"


def test_an_installer_that_takes_too_long_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_PATIENCE", 0.05)
    with pytest.raises(RunnerError) as caught:
        requirements._run(["sleep", "5"])
    assert caught.value.exit_code == 75
