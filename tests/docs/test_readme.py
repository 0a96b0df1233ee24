"""What the README tells people to type works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.spec import load_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BINARIES = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_spec_is_valid(tmp_path: Path):
    for name in ("credit.csv", "requirements.txt"):
        (tmp_path / name).write_text("")
    loaded = load_text(blocks("yaml")[0], file_name="README.md", base=tmp_path)
    assert [each.spec.kind for each in loaded] == ["job", "endpoint"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the commands are typed; no emulator outlives them."""
    yield tmp_path
    for records in tmp_path.rglob("emulator.json"):
        subprocess.run([BINARIES / "mlinfra", "emulator", "stop"], cwd=records.parents[3], check=False)


@pytest.mark.thorough
def test_the_commands_run(folder: Path):
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns(".mlinfra", "__pycache__"))
    (folder / "examples" / "credit" / "mlinfra.toml").write_text("")
    environment = {**os.environ, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}"}
    for line in "".join(blocks("console")).splitlines():
        words = shlex.split(line.removeprefix("$ "))
        if words[0] == "cd":
            folder /= words[1]
            continue
        finished = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, f"{line}\n{finished.stdout}\n{finished.stderr}"


def test_every_file_that_it_names_is_there():
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_every_make_target_that_it_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) <= targets
