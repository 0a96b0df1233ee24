"""A platform that lives in a distribution of its own is as good as ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OUTSIDE = Path(__file__).parent / "outside"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the outside distribution is installed, as far as the import system can tell."""
    site = tmp_path_factory.mktemp("site")
    (site / "mlinfra_outside").symlink_to(OUTSIDE / "mlinfra_outside")
    info = site / "mlinfra_outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: mlinfra-outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlinfra.adapters]\noutside = mlinfra_outside:ADAPTER\n")
    return site


def run(script: str, *sites: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sites))}
    child = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    return child.stdout.strip() or child.stderr.strip().splitlines()[-1]


def test_it_is_found_through_its_entry_point(installed: Path):
    told = run("from mlinfra.contract.adapter import platforms; print(platforms())", installed)
    assert told == "['aws', 'azure', 'gcp', 'local', 'outside']"


def test_it_is_not_there_where_it_is_not_installed():
    told = run("from mlinfra.contract.adapter import load; load('outside')")
    assert "no adapter is installed" in told
    assert "local" in told


def test_a_job_runs_on_it(installed: Path, tmp_path: Path):
    script = f"""
from pathlib import Path
from mlinfra.engine import jobs
from mlinfra.engine.folders import Folders
from mlinfra.engine.session import open_session
from mlinfra.engine.submit import submit
from mlinfra.environment import parse
from mlinfra.testing.base import prepared
from mlinfra.testing.projects import job, write_project
base = Path({str(tmp_path)!r})
folders = Folders(project=base / "project" / ".mlinfra", state=base / "state").ensure()
write_project(folders.root)
document = {{"name": "far-away", "platform": "outside", "native": {{"root": str(base / "host")}}}}
with open_session(parse(document), folders=folders, say=lambda _: None) as session:
    submission = submit(session, prepared(session, job("hello", "hello.py"), folders.root))
    ended, _ = jobs.wait(session, [submission.job], max_runtime=60)
    print(session.environment.platform, ended[0].state)
"""
    assert run(script, installed) == "outside succeeded"


def test_two_that_claim_one_platform_are_refused(installed: Path, tmp_path: Path):
    info = tmp_path / "mlinfra_rival-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: mlinfra-rival\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlinfra.adapters]\noutside = mlinfra_rival:ADAPTER\n")
    assert "is claimed by" in run("from mlinfra.contract.adapter import load; load('outside')", installed, tmp_path)


def test_one_that_is_installed_but_broken_shows_its_own_trace(tmp_path: Path):
    (tmp_path / "mlinfra_broken.py").write_text("import a_package_that_is_not_there\n")
    info = tmp_path / "mlinfra_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: mlinfra-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlinfra.adapters]\nbroken = mlinfra_broken:ADAPTER\n")
    told = run("from mlinfra.contract.adapter import load; load('broken')", tmp_path)
    assert told == "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"
