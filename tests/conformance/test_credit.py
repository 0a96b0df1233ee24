"""`examples/credit` on each cloud's emulator: the same AUC, predictions and rejections as on the machine at hand."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.platforms import PLATFORMS, load
from mlinfra.emulator.settings import Settings
from mlinfra.environment import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.emulator import Emulator

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "credit"
BAD_CELLS = [("Age", 770), ("Income", "plenty"), ("Home", "castle"), ("Amount", None)]


@pytest.fixture(scope="module")
def demo() -> Any:
    spec = importlib.util.spec_from_file_location("credit_demo", EXAMPLE / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, demo: Any) -> Path:
    folder = tmp_path / "credit"
    folder.mkdir()
    for name in demo.FILES:
        shutil.copy(EXAMPLE / name, folder / name)
    (folder / "mlinfra.toml").write_text("")
    return folder


@pytest.fixture(params=PLATFORMS)
def emulator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Emulator]:
    with load(request.param)(tmp_path / "emulator", Settings(delays_scale=0.02)) as emulator:
        yield emulator


def walk(kit: Any, demo: Any, applicants: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Train, register, deploy, ask for everybody who was held out, ask badly, and clean up."""
    job = kit("job", "submit", "mlinfra.yaml", "--wait")["job"]
    kit("model", "alias", "credit-risk:1", "champion")
    kit("endpoint", "deploy", "mlinfra.yaml")
    try:
        offline = demo.predictions(kit, job["id"])
        online = kit.ask([applicants[row] for row in offline])
        applicant = applicants[next(iter(applicants))]
        refused = [kit.refused({**applicant, column: value}) for column, value in BAD_CELLS]
    finally:
        kit("endpoint", "delete", "credit-risk", "--yes")
    return {"auc": job["metrics"]["auc"], "offline": offline, "online": online, "refused": refused}


def test_the_same_as_on_the_machine_at_hand(demo: Any, project: Path, emulator: Emulator, tmp_path: Path):
    applicants = demo.held_out(project)
    here = walk(demo.Kit(project, tmp_path / "state"), demo, applicants)
    document = emulator.environment()
    (project / "environment.json").write_text(dumps(document))
    kit = demo.Kit(project, tmp_path / "state", document.name)
    kit("env", "add", "environment.json")
    shutil.rmtree(project / "outputs")
    there = walk(kit, demo, applicants)
    assert json.dumps(there, sort_keys=True) == json.dumps(here, sort_keys=True)
    assert len(there["online"]) == 891
    assert list(there["offline"].values()) == there["online"]
    kit("job", "delete", kit("job", "list")["jobs"][0]["id"], "--yes")
    kit("model", "alias", "credit-risk", "champion", "--remove")
    kit("model", "delete", "credit-risk", "--yes")
    assert emulator.leftovers() == []
