"""What has outlived its time goes; what somebody else made, or still wants, stays."""

import pytest

from mlinfra.engine.endpoint_work import at_work
from mlinfra.engine.sweeping import sweep
from mlinfra.errors import Conflict

HOUR = 3600.0
NAME = "credit-risk"


def swept(world, **how):
    found = sweep(world.session(), **how)
    assert not found.failed
    return [(each.kind, each.name) for each in found.deleted]


def test_an_endpoint_goes_when_its_time_to_live_is_over_and_not_before(world):
    world.deploy("1")  # in dev it lives for 8 hours
    world.clock.time += 7 * HOUR
    assert swept(world) == []
    world.clock.time += 2 * HOUR
    assert swept(world) == [("endpoint", NAME)]
    assert world.endpoint is None
    assert not [key for key in world.objects if key.startswith("kit/rollouts/")]
    assert swept(world) == []


def test_looking_touches_nothing_and_tells_why(world):
    world.deploy("1")
    world.clock.time += 9 * HOUR
    world.platform.sent.clear()
    found = sweep(world.session(), look_only=True)
    assert [(each.kind, each.name) for each in found.due] == [("endpoint", NAME)]
    assert "time to live ended" in found.due[0].why
    assert (found.deleted, found.failed, world.platform.sent) == ([], [], [])


@pytest.mark.parametrize("change", [{"owned_by_stack": True}, {"tags": {"team": "risk"}}])
def test_what_is_a_stacks_or_not_the_kits_stays_whatever_is_asked(world, change):
    world.deploy("1")
    for name, value in change.items():
        setattr(world.endpoint, name, value)
    world.clock.time += 9 * HOUR
    assert swept(world) == []
    assert world.endpoint is not None


def test_a_list_that_lags_does_not_cost_a_living_endpoint(world):
    world.deploy("1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlinfra.engine.sweeping.list_endpoints", lambda _session: iter(()))
        assert swept(world) == []
        assert world.endpoint is not None
        world.clock.time += 9 * HOUR
        assert swept(world) == [("endpoint", NAME)]


def test_the_record_of_an_endpoint_that_somebody_removed_by_hand_goes_too(world):
    world.deploy("1")
    world.platform.endpoints.clear()
    found = sweep(world.session())
    assert [each.why for each in found.deleted] == ["its record alone is left"]
    assert swept(world) == []


def test_what_somebody_is_at_work_on_stays_and_is_told(world):
    world.deploy("1")
    world.clock.time += 9 * HOUR
    with at_work(world.session("bob"), NAME):
        found = sweep(world.session())
    ((due, problem),) = found.failed
    assert (due.name, type(problem), found.deleted) == (NAME, Conflict, [])
    assert world.endpoint is not None


@pytest.mark.parametrize("shells", [{}, {NAME: "1"}], ids=["somebody else's", "a stack's"])
def test_what_was_deployed_in_a_stacks_shell_is_taken_out(world, shells):
    world.deploy("1")
    world.endpoint.tags = {"team": "risk"}
    world.environment = world.environment.model_copy(update={"native": {"shells": shells}})
    world.clock.time += 9 * HOUR
    assert bool(swept(world)) is bool(shells)
