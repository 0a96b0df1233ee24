"""The `local` stack on the real engine: every step of its life, by the plain CLI and by `mlinfra env`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlinfra.environment import parse
from mlinfra.host import Host

if TYPE_CHECKING:
    from conftest import Clone

STACK = "local-dev"
ROOT = Path(__file__).parents[2]
ROOT_EXAMPLE = ROOT / "examples" / "credit"
# What the drill in docs/stacks.md says to run on a copy of a state.
UNWRAP = """import json, sys
json.dump({"version": 3, "deployment": json.load(open(sys.argv[1]))["checkpoint"]["latest"]}, open(sys.argv[2], "w"))"""
ALL = ["local-dev", "local-dev-artefacts", "local-dev-data", "local-dev-folder"]


@pytest.mark.slow
def test_a_newcomer_stands_the_environment_up_uses_it_and_takes_it_away(clone: Clone):
    tracked = clone.settings.read_text()
    first = clone.mlinfra("env", "up", STACK, "-o", "json")
    assert first.code == 0, first.err
    assert clone.settings.read_text() == tracked
    assert first.document["changes"] == {"create": 4}
    assert first.document["synced"] == STACK
    assert "created: local-dev-folder" in first.err
    assert clone.mlinfra("store", "put", "Pulumi.yaml", "kept", "-e", STACK).code == 0
    again = clone.mlinfra("env", "preview", STACK, "--expect-no-changes", "-o", "json")
    assert (again.code, again.document["changes"]) == (0, {"same": 4}), again.err
    unconfirmed = clone.mlinfra("env", "destroy", STACK)
    assert (unconfirmed.code, clone.environment.is_dir()) == (2, True)
    gone = clone.mlinfra("env", "destroy", STACK, "--yes", "-o", "json")
    assert (gone.code, gone.document["changes"]) == (0, {"delete": 4}), gone.err
    assert not clone.environment.exists()
    assert clone.resources() == []


@pytest.mark.slow
def test_plain_pulumi_does_the_same_work(standing: Clone):
    assert standing.resources() == ALL
    exported = json.loads(standing.pulumi("stack", "output", "environment", "--json", "--stack", STACK))
    environment = parse(exported)
    assert (environment.name, environment.stage, set(environment.stores)) == (STACK, "dev", {"artefacts", "data"})
    with Host(standing.environment) as host:
        assert host.identity()["account"] == environment.account
    standing.pulumi("preview", "--expect-no-changes", "--stack", STACK)
    done = standing.mlinfra("env", "preview", STACK, "--expect-no-changes")
    assert done.code == 0, done.err


@pytest.mark.slow
def test_one_changed_input_updates_in_place(standing: Clone):
    standing.configure(slots=3)
    plan = standing.mlinfra("env", "preview", STACK, "--expect-no-changes", "-o", "json")
    assert (plan.code, plan.document["changes"]) == (5, {"same": 3, "update": 1})
    done = standing.mlinfra("env", "up", STACK, "-o", "json")
    assert (done.code, done.document["changes"]) == (0, {"same": 3, "update": 1}), done.err
    with Host(standing.environment) as host:
        assert host.slots == 3
    standing.pulumi("preview", "--expect-no-changes", "--stack", STACK)


@pytest.mark.slow
def test_what_forces_a_replacement_asks_first_and_replaces_in_order(standing: Clone):
    standing.configure(folder="elsewhere")
    refused = standing.mlinfra("env", "up", STACK)
    assert refused.code == 2
    assert "deleting or replacing" in refused.err
    assert standing.environment.is_dir()
    done = standing.mlinfra("env", "up", STACK, "--yes", "-o", "json")
    assert done.code == 0, done.err
    steps = [(each["step"], each["name"]) for each in done.document["resources"]]
    made, removed = steps.index(("create-replacement", "local-dev-folder")), ("delete-replaced", "local-dev-folder")
    assert made < steps.index(("create-replacement", "local-dev-data")) < steps.index(removed)
    assert not standing.environment.exists()
    assert (standing.folder / "elsewhere" / "buckets" / "data").is_dir()
    standing.pulumi("preview", "--expect-no-changes", "--stack", STACK)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["buckets/data", "."])
def test_drift_is_found_and_repaired(standing: Clone, lost: str):
    shutil.rmtree(standing.environment / lost)
    standing.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", STACK, code=7)
    done = standing.mlinfra("env", "up", STACK, "--refresh", "-o", "json")
    assert done.code == 0, done.err
    assert (standing.environment / "buckets" / "data").is_dir()
    standing.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", STACK)


@pytest.mark.slow
def test_destroy_leaves_nothing_even_with_objects_in_it(standing: Clone):
    (standing.environment / "buckets" / "data" / "stray").write_text("not in the index")
    standing.pulumi("destroy", "--yes", "--skip-preview", "--stack", STACK)
    assert not standing.environment.exists()
    assert standing.resources() == []


@pytest.mark.slow
def test_an_adopted_folder_is_used_and_never_removed(clone: Clone):
    mine = clone.folder / "mine"
    with Host(mine, slots=2) as host:
        host.objects("artefacts").put("model", b"precious")
    clone.configure(adopt={"folder": "mine"})
    done = clone.mlinfra("env", "up", STACK)
    assert done.code == 0, done.err
    assert clone.mlinfra("env", "preview", STACK, "--refresh", "--expect-no-changes").code == 0
    gone = clone.mlinfra("env", "destroy", STACK, "--yes")
    assert gone.code == 0, gone.err
    with Host(mine) as host:
        assert host.objects("artefacts").get("model") == b"precious"


@pytest.mark.slow
def test_somebody_elses_folder_is_refused_before_anything_is_made(clone: Clone):
    theirs = clone.folder / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("irreplaceable")
    clone.configure(folder="theirs")
    done = clone.mlinfra("env", "up", STACK)
    assert done.code == 1
    assert "did not make" in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in theirs.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_a_wrong_configuration_is_told_whole_before_anything_is_registered(clone: Clone):
    clone.configure(stage="production", slots=-1, stors=["data"])
    done = clone.mlinfra("env", "up", STACK, "-o", "json")
    assert done.code == 2
    told = done.document["error"]
    assert told["what"] == f"3 problems in the configuration of stack {STACK}; nothing was registered"
    said = "\n".join(problem["what"] for problem in told["problems"])
    assert all(key in said for key in ("mlinfra:stage", "mlinfra:slots", "mlinfra:stors"))
    assert clone.resources() == []
    assert not clone.environment.exists()


@pytest.mark.slow
def test_the_credit_example_runs_in_it(standing: Clone, tmp_path: Path):
    synced = standing.mlinfra("env", "sync", STACK)
    assert synced.code == 0, synced.err
    shutil.copytree(ROOT_EXAMPLE, standing.folder / "credit")
    done = standing.mlinfra("apply", "credit/mlinfra.yaml", "-e", STACK)
    assert done.code == 0, done.err
    endpoints = standing.mlinfra("endpoint", "list", "-e", STACK, "-o", "json").document["endpoints"]
    assert endpoints
    gone = standing.mlinfra("env", "destroy", STACK, "--yes", "-o", "json")
    assert gone.code == 0, gone.err
    assert gone.document["removed"]["endpoints"]
    assert gone.document["removed"]["models"]
    assert not standing.environment.exists()


@pytest.mark.slow
def test_the_restore_drill_ends_as_it_is_documented(standing: Clone):
    """A copy of the state that the engine made before the last update is put back and mended."""
    assert UNWRAP in (ROOT / "docs" / "stacks.md").read_text()
    standing.configure(slots=3)
    standing.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    copies = sorted((standing.folder / ".mlinfra" / "pulumi" / ".pulumi" / "backups").rglob("*.json"))
    assert standing.run(sys.executable, "-c", UNWRAP, str(copies[-2]), "good.json").code == 0
    standing.pulumi("stack", "export", "--stack", STACK, "--file", "before.json")
    standing.pulumi("stack", "import", "--stack", STACK, "--file", "good.json")
    found = standing.mlinfra("env", "preview", STACK, "--refresh", "-o", "json")
    assert found.document["changes"].get("create", 0) == 0, found.err
    mended = standing.mlinfra("env", "up", STACK, "--refresh")
    assert mended.code == 0, mended.err
    assert standing.mlinfra("env", "preview", STACK, "--expect-no-changes").code == 0
    assert standing.resources() == ALL
    with Host(standing.environment) as host:
        assert host.slots == 3
