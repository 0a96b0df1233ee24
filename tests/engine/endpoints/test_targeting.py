"""Where requests name no deployment, the one that is meant is asked until it answers."""

import pytest

from mlinfra.contract.capabilities import Capability, by_the_kit
from mlinfra.engine.endpoint_changes import traffic
from mlinfra.engine.endpoints import find, invoke
from mlinfra.engine.targeting import MOST_TRIES
from mlinfra.errors import CapabilityError, NotFound, Unavailable

NAME = "credit-risk"
ROWS = [{"age": 30}]
VARIANTS = {"one": {"model": f"{NAME}:1", "traffic": "90%"}, "two": {"model": f"{NAME}:2", "traffic": "10%"}}


@pytest.fixture
def dice(world, monkeypatch):
    """A platform whose requests name nobody: who answers is told by a list, and by the largest share after it."""
    world.capabilities |= {Capability.ENDPOINT_TARGET: by_the_kit("its split alone decides")}
    world.deploy(deployments=VARIANTS)
    answering = []
    name_one = world.renderer.invoke

    def invoke(endpoint, _deployment, *rest):
        shares = endpoint.traffic
        return name_one(endpoint, answering.pop(0) if answering else max(shares, key=shares.get), *rest)

    monkeypatch.setattr(world.renderer, "invoke", invoke)
    return answering


def one_and_two(world):
    return (next(name for name in world.endpoint.deployments if name.startswith(each)) for each in ("one", "two"))


def calls(world):
    return world.faults.calls.count("Invoke")


def test_others_answers_are_thrown_away(world, dice):
    one, two = one_and_two(world)
    dice += [one, one, two]
    session = world.session()
    assert invoke(session, NAME, ROWS, deployment=two).deployment == two
    assert calls(world) == 3


def test_whoever_answers_is_right_where_nobody_is_named(world, dice):
    one, _ = one_and_two(world)
    assert invoke(world.session(), NAME, ROWS).deployment == one
    assert calls(world) == 1


def test_one_that_does_not_answer_in_time_is_told_with_its_share(world, dice):
    _, two = one_and_two(world)
    with pytest.raises(Unavailable, match=r"10 % of the traffic"):
        invoke(world.session(), NAME, ROWS, deployment=two)
    assert calls(world) == MOST_TRIES


def test_one_without_traffic_is_not_asked_for(world, dice):
    _, two = one_and_two(world)
    traffic(world.session(), NAME, {"one": 100})
    with pytest.raises(CapabilityError, match="its split alone decides"):
        invoke(world.session(), NAME, ROWS, deployment=two)
    assert calls(world) == 0
    with pytest.raises(NotFound):
        invoke(world.session(), NAME, ROWS, deployment="nobody")


def test_a_newcomer_without_traffic_is_not_probed_and_the_record_says_why(world, dice):
    world.deploy("3")
    assert any("not probed: its split alone decides" in line for line in world.said)
    assert find(world.session(), NAME).deployments[0].traffic == 100
