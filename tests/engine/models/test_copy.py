"""Promotion: the same bytes elsewhere, with lineage and evaluations, without approval."""

from __future__ import annotations

import pytest

from mlinfra.engine.approval import approve, require_approved
from mlinfra.engine.audit import history as log
from mlinfra.engine.copy_model import copy
from mlinfra.engine.evaluations import attach, evaluations
from mlinfra.engine.marks import alias
from mlinfra.engine.models import download, register
from mlinfra.engine.versions import resolve
from mlinfra.errors import Denied, IntegrityError, NotFound, UsageError


@pytest.fixture
def both(world, package):
    """A version in dev, evaluated and approved there, and an empty prod."""
    world.place("dev", tags={"cost": "dev"}, stage="staging", approval=("staging", "prod"))
    world.place("prod", stage="prod", tags={"cost": "prod"})
    session = world.session(who="ann")
    register(session, "credit-risk", package(), lineage={"job": "j"}, metrics={"auc": 0.8}, tags={"team": "risk"})
    attach(session, "credit-risk:1", {"metrics": {"auc": 0.81}})
    approve(world.session(who="bob"), "credit-risk:1")
    alias(session, "credit-risk:1", "champion")
    return session


def promote(world, faults=None, **names):
    source = world.session("dev", who="carol", faults=faults)
    return copy(source, "credit-risk@champion", world.session("prod", who="carol", faults=faults), **names)


def test_digest_lineage_metrics_and_evaluations_come_along(world, both, contents, tmp_path):
    version = promote(world)
    original = resolve(both, "credit-risk:1")
    assert (version.name, version.digest, version.owner) == ("credit-risk:1", original.digest, "carol")
    assert version.metrics == {"auc": 0.8}
    assert version.lineage == {"job": "j", "copied_from": "dev/model/credit-risk:1"}
    assert version.tags == {"team": "risk", "cost": "prod"}
    session = world.session("prod")
    assert [each.metrics for each in evaluations(session, version)] == [{"auc": 0.81}]
    download(session, version.name, tmp_path / "prod")
    download(both, "credit-risk:1", tmp_path / "dev")
    assert contents(tmp_path / "prod") == contents(tmp_path / "dev")
    assert [entry.verb for entry in log(session, "model/credit-risk")] == ["copy"]
    assert log(both, "model/credit-risk")[-1].details["to"] == "prod/model/credit-risk:1"


def test_approval_aliases_and_stage_stay_behind(world, both):
    version = promote(world)
    assert (version.aliases, version.stage) == ((), "")
    require_approved(both, resolve(both, "credit-risk:1"))
    with pytest.raises(Denied, match="approved by nobody"):
        require_approved(world.session("prod"), version)
    approve(world.session("prod", who="carol"), "credit-risk:1")
    with pytest.raises(Denied, match="carol alone"):
        require_approved(world.session("prod"), version)


def test_under_another_name(world, both):
    assert promote(world, name="credit-risk-eu").name == "credit-risk-eu:1"
    with pytest.raises(UsageError):
        promote(world, name="Credit Risk")


def test_the_same_bytes_there_already_are_reused_and_not_sent(world, both, faults):
    promote(world)
    counted = faults()
    assert promote(world, counted).name == "credit-risk:1"
    assert world.place("prod").versions == ["credit-risk:1"]
    assert counted.count("create") == counted.count("download") == 0
    assert len([key for key in world.place("prod").objects if key.startswith("kit/evaluations/")]) == 1


def test_a_byte_that_differs_at_the_source_ends_it_and_nothing_is_registered(world, both):
    key = next(key for key in world.place("dev").objects if key.endswith("model.txt"))
    world.place("dev").objects[key].content = b"tree\nwEights"
    with pytest.raises(IntegrityError):
        promote(world)
    assert world.place("prod").versions == []
    assert not any(key.startswith("kit/complete/") for key in world.place("prod").objects)


def test_what_is_not_there_is_not_found_and_nothing_happens(world, both):
    with pytest.raises(NotFound):
        copy(both, "credit-risk:9", world.session("prod"))
    assert world.place("prod").objects == {}


@pytest.mark.thorough
def test_killed_at_any_call_and_run_again_there_is_one_version_with_whole_bytes(
    world, both, survive, contents, tmp_path
):
    number = iter(range(1000))
    download(both, "credit-risk:1", tmp_path / "dev")

    def prepare():
        name = f"prod-{next(number)}"
        world.place(name, stage="prod")

        def attempt(faults):
            source = world.session("dev", who="carol", machine=name, faults=faults)
            copy(source, "credit-risk:1", world.session(name, who="carol", machine=name, faults=faults))

        def judge(case):
            assert world.place(name).versions == ["credit-risk:1"], case
            session = world.session(name, machine="judge")
            assert len(evaluations(session, resolve(session, "credit-risk:1"))) == 1, case
            download(session, "credit-risk:1", tmp_path / "judged" / name)
            assert contents(tmp_path / "judged" / name) == contents(tmp_path / "dev"), case

        return attempt, judge

    survive(prepare)


def test_a_reader_at_the_source_may_promote(world, both, monkeypatch):
    source, target = world.session("dev", who="carol"), world.session("prod", who="carol")
    store = type(source.client.store())
    real = store.put

    def read_only(self, key, *args, **kwargs):
        if self.uri(key).startswith("mem://dev"):
            raise Denied("read only", given=key)
        return real(self, key, *args, **kwargs)

    monkeypatch.setattr(store, "put", read_only)
    assert copy(source, "credit-risk:1", target).name == "credit-risk:1"
