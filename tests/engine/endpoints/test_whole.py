"""Deployments that take another's place whole, serverless and asynchronous, and questions through the store."""

import json
import tarfile

import pytest

from mlinfra.contract.capabilities import Capability, absent
from mlinfra.engine import deploy as deploy_module
from mlinfra.engine.archives import pack
from mlinfra.engine.endpoint_changes import delete, rollback
from mlinfra.engine.endpoints import invoke
from mlinfra.errors import CapabilityError, DeploymentFailed, InputRejected, InvocationFailed, RolledBack, Unavailable

SERVERLESS = {"serverless": {"memory": "2Gi", "concurrency": 20}}
ASYNCHRONOUS = {"asynchronous": {"concurrency": 4}}
ROWS = [{"age": 70}, {"age": 35}]


@pytest.fixture(autouse=True)
def archives(monkeypatch):
    """The versions of which an archive was asked for."""
    asked = []
    monkeypatch.setattr(deploy_module, "send_archive", lambda _session, version: asked.append(version.version))
    return asked


@pytest.fixture
def asking(world):
    """An asynchronous endpoint that serves, and a way to ask it."""
    world.platform.queue = []
    world.deploy("1", **ASYNCHRONOUS)
    return world


def left(world):
    return [key for key in world.objects if key.startswith("asynchronous/")]


def test_a_new_version_takes_the_old_one_s_place_and_is_asked_its_example(world, archives):
    world.deploy("1", **SERVERLESS)
    outcome = world.deploy("2", **SERVERLESS)
    verbs = [decision.verb for decision in outcome.rollout.decisions]
    assert (world.shares, world.versions, verbs) == ({"2": 100}, ["2"], ["began", "ready", "probed", "completed"])
    assert "SetTraffic" not in world.platform.sent[world.platform.sent.index("GuardedUpdate") :]
    assert world.renderer.guards[-1] is None
    assert archives == ["1", "2"]
    assert "nobody" in outcome.watched_by


def test_one_that_answers_its_example_wrongly_goes_back(world, kit):
    world.deploy("1", **SERVERLESS)
    world.platform.behaviours["2"] = kit.Behaviour(predictions=[0.0, 0.0])
    with pytest.raises(DeploymentFailed, match="differently"):
        world.deploy("2", **SERVERLESS)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_one_that_the_platform_takes_back_is_a_rollback(world):
    world.deploy("1", **SERVERLESS)
    world.platform.guard_fails = True
    with pytest.raises(RolledBack):
        world.deploy("2", **SERVERLESS)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_a_rollback_replaces_it_whole_too(world):
    world.deploy("1", **SERVERLESS)
    world.deploy("2", **SERVERLESS)
    rollback(world.session(), "credit-risk")
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])
    assert world.platform.sent.count("GuardedUpdate") == 2


def test_only_serverless_servers_ask_for_an_archive(world, archives):
    world.deploy("1")
    assert archives == []


@pytest.mark.parametrize(("fields", "capability"), [(SERVERLESS, "serverless"), (ASYNCHRONOUS, "asynchronous")])
def test_a_platform_without_it_says_so_before_anything_is_sent(world, fields, capability):
    world.capabilities = {**world.capabilities, Capability(f"endpoint.{capability}"): absent("it has none")}
    with pytest.raises(CapabilityError, match=f"{capability} cannot be had on fake: it has none"):
        world.deploy("1", **fields)
    assert world.platform.sent == []


def test_an_asynchronous_endpoint_is_probed_and_asked_through_the_store(asking):
    answer = invoke(asking.session(), "credit-risk", rows=ROWS, time_limit=60.0)
    assert json.loads(answer.body) == {"predictions": [20.0, 10.0]}
    assert asking.platform.time_limits[-1] == 60.0
    assert len(asking.platform.time_limits) == 2
    assert left(asking) == []


def test_refused_rows_are_named_and_other_failures_told(asking):
    with pytest.raises(InputRejected) as refusal:
        invoke(asking.session(), "credit-risk", rows=[{"age": 121}])
    assert refusal.value.rows[0]["column"] == "age"
    for each in asking.endpoint.deployments.values():
        each.behaviour.status = 500
    with pytest.raises(InvocationFailed, match="500"):
        invoke(asking.session(), "credit-risk", rows=ROWS)
    assert left(asking) == []


def test_long_work_tells_of_itself_and_ends_with_its_time_limit(asking):
    asking.platform.answers_after = 500.0
    began = asking.clock.time
    with pytest.raises(Unavailable, match="no answer after 100 s") as refusal:
        invoke(asking.session(), "credit-risk", rows=ROWS, time_limit=100.0)
    assert asking.clock.time - began == pytest.approx(100.0, abs=1.0)
    assert "memory://store/asynchronous/credit-risk/answers/" in refusal.value.given
    told = [text for text in asking.said if text.startswith("no answer yet")]
    assert len(told) == 4


def test_a_lost_answer_to_the_question_is_asked_again_and_answered_once(asking):
    session = asking.session()
    sent = []

    def lose_the_first(operation):
        if operation == "InvokeLater":
            sent.append(operation)
            if len(sent) == 1:
                asking.faults.script[len(asking.faults.calls)] = "lost"

    asking.faults.on_call = lose_the_first
    answer = invoke(session, "credit-risk", rows=ROWS)
    assert json.loads(answer.body)["predictions"] == [20.0, 10.0]
    assert len(sent) == 2


def test_deleting_the_endpoint_removes_what_lies_there_of_it(asking):
    asking.platform.answers_after = 500.0
    with pytest.raises(Unavailable):
        invoke(asking.session(), "credit-risk", rows=ROWS, time_limit=1.0)
    assert left(asking)
    delete(asking.session(), "credit-risk")
    assert left(asking) == []


def test_an_archive_depends_on_paths_and_content_alone(tmp_path):
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "model.json").write_text("{}")
    (folder / "run").write_text("#!")
    (folder / "run").chmod(0o755)
    pack(folder, tmp_path / "one.tar.gz")
    for path in folder.rglob("*"):
        path.touch()
    pack(folder, tmp_path / "other.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        modes = {member.name: member.mode for member in archive}
    assert modes == {"inner/model.json": 0o644, "run": 0o755}
