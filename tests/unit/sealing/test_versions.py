"""Every version of scikit-learn on the allow-list goes through the proofs, in an environment that uv makes once."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from uv import find_uv_bin

from mlinfra.modelkit.sealing.allow import VERSIONS

pytestmark = pytest.mark.slow  # minutes for each version

ROOT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlinfra-tests"
OTHERS = [name for name in VERSIONS["sklearn"] if name != version("scikit-learn")]
WITH = {"1.4.2": ("numpy<2",)}  # what a version takes beside the newest of all others


def environment(name: str) -> Path:
    """The interpreter of an environment that holds that version."""
    folder = CACHE / f"scikit-learn-{name}"
    if not (folder / "done").exists():
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], check=True)
        install = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
        packages = [f"scikit-learn=={name}", *WITH.get(name, ("numpy",)), "pandas", "pytest", "hypothesis"]
        subprocess.run([*install, *packages], check=True)
        (folder / "done").touch()
    return folder / "bin" / "python"


@pytest.mark.parametrize("name", OTHERS)
def test_a_million_rows_of_every_kind_differ_in_no_bit(name: str) -> None:
    tests = Path(__file__).with_name("test_kinds.py")
    # an older version may warn of a newer numpy or scipy, which changes no bit
    options = ["-q", "-m", "slow", "-o", "filterwarnings=ignore", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [str(environment(name)), "-m", "pytest", *options, str(tests)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
