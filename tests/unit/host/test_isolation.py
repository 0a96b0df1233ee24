from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlinfra.host import isolation
from mlinfra.host.isolation import PREFIX, Isolation

PLACES = {"found": isolation.best(), "prefix": Isolation(PREFIX, "as on a machine without namespaces")}


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def place(request, monkeypatch):
    """Each way that this machine allows, and the one that every machine allows."""
    monkeypatch.setattr(isolation, "best", lambda: request.param)
    return request.param


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "input").mkdir(parents=True)
    (folder / "input" / "file").write_text("inside\n")
    return folder


def test_a_job_sees_its_container_path_and_nobody_else_does(rig, place, source):
    line = 'p="$MLINFRA_CONTAINER_ROOT"; cat "$p/opt/ml/input/file"; echo out > "$p/opt/ml/output"; ls /usr | head -1'
    rig.shell("inside", line, mounts={"/opt/ml": str(source)})
    job = rig.end("inside")
    assert (job["state"], rig.log("inside")[0]) == ("succeeded", "inside"), rig.log("inside")
    assert len(rig.log("inside")) == 2
    assert job["isolation"] == {"kind": place.kind, "reason": place.reason}
    assert (source / "output").read_text() == "out\n"
    assert not Path("/opt/ml").exists()


def test_what_lies_beside_a_container_path_stays_visible(rig, place, source):
    top = sorted(path.name for path in Path("/").iterdir())
    beside = sorted(path.name for path in Path("/opt").iterdir())
    line = "ls -A /; echo --; ls -A /opt; pwd"
    rig.shell("beside", line, mounts={"/opt/ml": str(source), "/mlinfra-test": str(source)})
    assert rig.end("beside")["state"] == "succeeded", rig.log("beside")
    *seen, folder = rig.log("beside")
    cut = seen.index("--")
    assert set(top) <= set(seen[:cut])
    assert set(beside) <= set(seen[cut:])
    assert folder == rig.describe("beside")["folder"] + "/work"
    assert not Path("/opt/ml").exists()
    assert not Path("/mlinfra-test").exists()


def test_paths_inside_paths_and_single_files(rig, place, source, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("other\n")
    (tmp_path / "one").write_text("single\n")
    mounts = {
        "/opt/ml/model": str(tmp_path / "other"),
        "/opt/ml": str(source),
        "/opt/config.txt": str(tmp_path / "one"),
    }
    line = 'p="$MLINFRA_CONTAINER_ROOT"; cat "$p/opt/ml/model/x" "$p/opt/config.txt" "$p/opt/ml/input/file"'
    rig.shell("nested", line, mounts=mounts)
    rig.end("nested")
    assert rig.log("nested") == ["other", "single", "inside"]


def test_an_existing_path_is_covered_for_the_job_alone(rig, place, source):
    line = 'cat "$MLINFRA_CONTAINER_ROOT/usr/share/input/file"'
    rig.shell("covered", line, mounts={"/usr/share": str(source)})
    rig.end("covered")
    assert rig.log("covered") == ["inside"]
    assert not Path("/usr/share/input").exists()


def test_a_stopped_job_in_a_container_gets_its_grace(rig, place, source):
    line = 'trap "echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    rig.shell("polite", line, mounts={"/opt/ml": str(source)})
    rig.said("polite", "ready")
    rig.call("StopJob", {"name": "polite"})
    assert rig.end("polite")["state"] == "stopped"
    assert rig.log("polite") == ["ready", "saved"]


def test_nodes_have_container_paths_of_their_own(rig, place, tmp_path):
    nodes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(f"{name}\n")
        nodes.append({"mounts": {"/opt/ml": str(tmp_path / name)}})
    rig.shell("nodes", 'cat "$MLINFRA_CONTAINER_ROOT/opt/ml/who"', nodes=2, per_node=nodes)
    rig.end("nodes")
    assert sorted(rig.log("nodes")) == ["a", "b"]


def test_results_left_under_a_container_path_are_found(rig, place, source):
    line = 'echo "told inside" > "$MLINFRA_CONTAINER_ROOT$MLINFRA_RESULT/failure"; exit 1'
    rig.shell("told", line, mounts={"/opt/ml": str(source)}, env={"MLINFRA_RESULT": "/opt/ml/input"})
    assert rig.end("told")["reason"] == "told inside"


@pytest.mark.thorough
def test_a_deployment_sees_its_container_path(endpoint, place, source):
    endpoint.create()
    line = 'cp "$MLINFRA_CONTAINER_ROOT/opt/ml/input/file" copied; exec "$@"'
    argv = ["/bin/sh", "-c", line, "sh", "{python}", str(Path(__file__).with_name("stand_in.py")), "--port", "{port}"]
    body = {"endpoint": "e", "deployment": "a", "argv": argv, "mounts": {"/opt/ml": str(source)}}
    endpoint.call("CreateDeployment", body)
    assert endpoint.deployment_in("a", "ready")["isolation"]["kind"] == place.kind
    copied = endpoint.host.root / "endpoints/e/servers/a/0/copied"
    assert copied.read_text() == "inside\n"


def test_a_machine_that_refuses_everything_gets_the_prefix_and_the_reason(monkeypatch):
    isolation.best.cache_clear()
    monkeypatch.setattr(isolation, "_works", lambda _command: False)
    found = isolation.best()
    isolation.best.cache_clear()
    assert found.kind == PREFIX
    assert "bubblewrap" in found.reason


def test_bubblewrap_is_told_to_hide_nothing(tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to("beside")
    mounts = {str(tmp_path / "new" / "deep"): "/usr", "/mlinfra-test": "/usr"}
    found = Isolation(isolation.BUBBLEWRAP, "", ["bwrap"])
    command = isolation.enter(found, mounts, ["true"], tmp_path / "own")
    text = " ".join(command)
    assert text.startswith("bwrap --die-with-parent ")
    assert f"--tmpfs {tmp_path} " in text
    assert f"--dev-bind {tmp_path}/beside {tmp_path}/beside" in text
    assert f"--symlink beside {tmp_path}/link" in text
    assert "--dev-bind /usr /usr " in text
    assert text.endswith(f"--dev-bind /usr /mlinfra-test --dev-bind /usr {tmp_path}/new/deep -- true")


def test_awkward_names_are_quoted(place, tmp_path):
    awkward = tmp_path / "a b'c $(touch x) ;"
    awkward.mkdir()
    (awkward / "file").write_text("inside")
    target = f"{tmp_path}/d e'f $(touch y)"
    prefix = isolation.variables(place, tmp_path / "own").get(isolation.CONTAINER_ROOT, "")
    argv = ["cat", f"{prefix}{target}/file"]
    command = isolation.enter(place, {target: str(awkward)}, argv, tmp_path / "own")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "inside"
