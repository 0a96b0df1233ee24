"""What is there already: leftovers of others, reads that lag behind, replies that were lost, hasty adapters."""

from datetime import datetime, timedelta
from itertools import groupby

import pytest

from mlinfra.contract.steps import Done
from mlinfra.engine.endpoint_work import Change
from mlinfra.engine.rollout_records import Book, Ledger
from mlinfra.errors import Conflict, RolledBack, Unavailable

CANARY = {"steps": ["10%", "100%"], "bake": "1m", "min_requests": 10}
NAME = "credit-risk"


def left_behind(world, kit, name, version):
    """A deployment that failed, of which nobody has a record."""
    endpoint = world.endpoint
    world.platform.behaviours[version] = kit.Behaviour(fails_after=0.0)
    world.platform.create_deployment(endpoint.physical_name, name, version, f"sha256:{int(version):064x}", 1)
    world.platform.behaviours[version] = kit.Behaviour()


def test_a_failed_leftover_under_the_same_name_is_removed_first(world, kit, new_world):
    rehearsal = new_world()
    name = rehearsal.deploy("2").endpoint.deployments[0].name
    world.deploy("1")
    left_behind(world, kit, name, "2")
    world.deploy("2", rollout=CANARY)
    assert (world.shares, world.versions, world.platform.wrongs) == ({"2": 100}, ["2"], [])


def test_a_failed_leftover_of_a_first_deploy_is_removed_first(world, kit, new_world):
    rehearsal = new_world()
    name = rehearsal.deploy("2").endpoint.deployments[0].name
    world.platform.create_endpoint(f"{NAME}-{world.environment.suffix}", None)
    left_behind(world, kit, name, "2")
    assert world.deploy("2").change is Change.CREATED
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])


def test_an_empty_endpoint_is_filled(world):
    world.platform.create_endpoint(f"{NAME}-{world.environment.suffix}", None)
    assert world.deploy("1").change is Change.CREATED
    assert world.platform.sent.count("CreateEndpoint") == 0


def test_a_deploy_right_after_another_does_not_believe_reads_that_lag(world):
    world.deploy("1")
    world.platform.lag = 25.0  # the next reads tell of an endpoint without any traffic
    world.deploy("2", rollout=CANARY)
    shares = [sorted(each.shares.values()) for each in world.endpoint.history]
    assert [each for each, _ in groupby(shares)] == [[100], [10, 90], [100]]  # what does not show is sent again


def test_what_somebody_else_changed_long_ago_is_believed_at_once(world):
    variants = {
        "main": {"model": "credit-risk:1", "traffic": "70%"},
        "rival": {"model": "credit-risk:7", "traffic": "30%"},
    }
    world.deploy(deployments=variants)
    world.clock.time += 600.0
    names = list(world.endpoint.deployments)
    world.platform.set_traffic(world.endpoint.physical_name, {names[0]: 10, names[1]: 90})
    before = world.clock.time
    assert world.deploy(deployments=variants).change is Change.ADJUSTED
    assert world.shares == {"1": 70, "7": 30}
    assert world.clock.time - before < 10


def test_an_adapter_that_is_done_before_the_platform_shows_it_is_not_believed(world, kit, monkeypatch):
    world.deploy("1")
    careful = world.renderer.next_step
    hasty_after = []

    def hasty(desired, observed, environment):
        step = careful(desired, observed, environment)
        if any(request.operation == "SetTraffic" for request in getattr(step, "requests", ())):
            if hasty_after:
                return Done()
            hasty_after.append(world.clock.time)
        return step

    monkeypatch.setattr(world.renderer, "next_step", hasty)
    world.platform.lag = 40.0
    world.clock.time += 60.0
    world.deploy("2", rollout={"strategy": "all_at_once", "bake": "1m"})
    reached = next(entry for entry in world.record["rollout"]["decisions"] if entry["verb"] == "reached")
    assert datetime.fromisoformat(reached["time"]) >= kit.EPOCH + timedelta(seconds=hasty_after[0] + 40)
    assert world.shares == {"2": 100}


@pytest.mark.parametrize("stops_at", ["SetTraffic", "DeleteDeployment"])
def test_a_way_back_that_was_interrupted_is_ended_before_another_release_begins(world, kit, stops_at):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(error_share=1.0)
    session = world.session()
    seen = []

    def killed_on_the_way_back(operation):
        seen.append(operation)
        if operation == stops_at and "Health" in seen:
            raise kit.Killed

    session.client._faults.on_call = killed_on_the_way_back
    with pytest.raises(kit.Killed):
        world.deploy("2", session=session, rollout=CANARY)
    world.bury()
    world.deploy("3", rollout=CANARY)
    shares = [sorted(each.shares.values()) for each in world.endpoint.history]
    assert shares == [[100], [10, 90], [100], [10, 90], [100]]
    assert (world.shares, world.versions, world.platform.wrongs) == ({"3": 100}, ["3"], [])


def test_the_same_deploy_ends_an_interrupted_way_back_as_it_would_have_ended(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(error_share=1.0)
    session = world.session()

    def killed(operation):
        if operation == "DeleteDeployment":
            raise kit.Killed

    session.client._faults.on_call = killed
    with pytest.raises(kit.Killed):
        world.deploy("2", session=session, rollout=CANARY)
    world.bury()
    with pytest.raises(RolledBack, match="error rate"):
        world.deploy("2", rollout=CANARY)
    assert len(world.platform.created) == 2


def test_a_record_whose_writing_was_not_answered_is_recognised(world):
    session = world.session()
    ledger = Ledger.open(session, NAME)
    faults = session.client._faults
    faults.script = {len(faults.calls) + 1: "lost"}
    ledger.write(Book())
    ledger.write(Book())
    assert Ledger.open(session, NAME).etag == ledger.etag


def test_a_record_that_somebody_else_wrote_is_not_overwritten(world):
    mine, theirs = Ledger.open(world.session(), NAME), Ledger.open(world.session(), NAME)
    theirs.write(Book())
    world.clock.time += 1.0
    with pytest.raises(Conflict):
        mine.write(Book())


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["lost", "refused"])
def test_one_lost_call_anywhere_ends_as_if_nothing_had_been_or_may_be_run_again(new_world, fault):
    world = new_world()
    world.deploy("1")
    session = world.session()
    world.deploy("2", session=session, rollout=CANARY)
    for number in range(1, len(session.client._faults.calls) + 1):
        world = new_world()
        world.deploy("1")
        session = world.session()
        session.client._faults.script = {number: fault}
        try:
            world.deploy("2", session=session, rollout=CANARY)
        except Unavailable:
            world.bury()
            world.deploy("2", rollout=CANARY)
        assert (world.shares, world.versions) == ({"2": 100}, ["2"]), number
        assert (len(world.platform.created), world.platform.wrongs) == (2, []), number
