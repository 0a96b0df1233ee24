"""A process that is killed at any of its calls, before or after the effect: the same command again gets there."""

import pytest

from mlinfra.engine import rollout_run
from mlinfra.engine.endpoint_changes import delete, rollback
from mlinfra.errors import DeploymentFailed, NotFound, RolledBack

CANARY = {"steps": ["10%", "100%"], "bake": "1m", "min_requests": 10}
EXPECTED_ENDS = (RolledBack, DeploymentFailed)


def canary(world, session):
    world.deploy("2", session=session, rollout=CANARY)


def two_variants(world, session):
    variants = {
        "main": {"model": "credit-risk:2", "traffic": "60%"},
        "rival": {"model": "credit-risk:3", "traffic": "40%"},
    }
    world.deploy(deployments=variants, session=session)


def first(world, session):
    world.deploy("1", session=session)


def go_back(world, session):
    rollback(session, "credit-risk")


def remove(world, session):
    delete(session, "credit-risk")


def prepared_with(*versions):
    def prepare(world):
        for version in versions:
            world.deploy(version)

    return prepare


def with_errors(world):
    world.deploy("1")
    world.platform.behaviours["2"] = world.Behaviour(error_share=0.5)


def never_ready(world):
    world.deploy("1")
    world.platform.behaviours["2"] = world.Behaviour(ready_after=None)


def failing_probe(world):
    world.deploy("1")
    world.platform.behaviours["2"] = world.Behaviour(status=500)


STORIES = {
    # name: (what was there, the command, real shares at the end, deployments made in all)
    "first": (prepared_with(), first, {"1": 100}, 1),
    "canary": (prepared_with("1"), canary, {"2": 100}, 2),
    "two variants in place of one": (prepared_with("1"), two_variants, {"2": 60, "3": 40}, 3),
    "errors": (with_errors, canary, {"1": 100}, 2),
    "never ready": (never_ready, canary, {"1": 100}, 2),
    "failing probe": (failing_probe, canary, {"1": 100}, 2),
    "rollback": (prepared_with("1", "2"), go_back, {"1": 100}, 3),
    "delete": (prepared_with("1"), remove, {}, 1),
}


def run(world, command, session):
    """The command, as its caller sees it: some stories are meant to end badly."""
    try:
        command(world, session)
    except EXPECTED_ENDS as exc:
        return type(exc)
    return None


def serves_all_the_time(world):
    """Once something served, whatever was killed, traffic never went to nobody and summed to 100."""
    for endpoint in world.platform.endpoints.values():
        for each in endpoint.history:
            assert sum(each.shares.values()) == 100
    assert world.platform.wrongs == []


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch):
    """A deployment that never becomes ready is waited for in every single run."""
    monkeypatch.setattr(rollout_run, "READY_WITHIN", 60.0)


def calls_of(new_world, kit, story):
    prepare, command, _, _ = STORIES[story]
    world = new_world()
    world.Behaviour = kit.Behaviour
    prepare(world)
    session = world.session()
    end = run(world, command, session)
    return len(session.client._faults.calls), end


def killed(new_world, kit, story, number, *, after):
    """A world in which the story's command was killed at that call."""
    prepare, command, _, _ = STORIES[story]
    world = new_world()
    world.Behaviour = kit.Behaviour
    prepare(world)
    session = world.session()
    session.client._faults.kill_at, session.client._faults.after = number, after
    with pytest.raises(kit.Killed):
        command(world, session)
    serves_all_the_time(world)
    return world, session.client._faults.calls[-1]


def check_the_end(world, story, end, *, where):
    """The same command again ends as the undisturbed one did, and leaves the same."""
    _, command, shares, made = STORIES[story]
    try:
        ended = run(world, command, world.session())
    except NotFound:
        assert story == "rollback", where  # it was killed when all was done: there is nothing before release 1
        assert world.record["rollout"]["phase"] == "completed"
        ended = end
    serves_all_the_time(world)
    world.platform._sweep()
    assert ended is end, where
    assert world.shares == shares, where
    assert len(world.versions) == len(shares), where
    # what had failed to the very end is tried once more, and nothing else is made twice
    assert len(world.platform.created) - made in ((0, 1) if end else (0,)), where


@pytest.mark.thorough
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "story", [pytest.param(story, marks=pytest.mark.slow if story == "canary" else ()) for story in STORIES]
)
def test_killed_at_every_single_call_the_same_command_again_gets_there(new_world, kit, story, after):
    calls, end = calls_of(new_world, kit, story)
    assert calls > 10
    for number in range(1, calls + 1):
        world, operation = killed(new_world, kit, story, number, after=after)
        world.bury()
        check_the_end(world, story, end, where=(number, operation))


@pytest.mark.thorough
@pytest.mark.parametrize("story", ["canary", "errors", "never ready"])
def test_another_machine_goes_on_hours_later_without_the_journal_of_the_first(new_world, kit, story, tmp_path):
    calls, end = calls_of(new_world, kit, story)
    for number in range(1, calls + 1):
        world, operation = killed(new_world, kit, story, number, after=bool(number % 2))
        world.folders = new_world().folders
        world.clock.time += 7200.0
        check_the_end(world, story, end, where=(number, operation))


@pytest.mark.parametrize("operation", ["CreateDeployment", "SetTraffic", "DeleteDeployment"])
def test_a_killed_canary_goes_on_from_each_of_its_effects(new_world, kit, operation):
    """The representative of the loops above for the quick run."""
    story = "canary"
    prepare, command, _, _ = STORIES[story]
    world = new_world()
    prepare(world)
    session = world.session()
    command(world, session)
    number = session.client._faults.calls.index(operation) + 1
    for after in (False, True):
        world, where = killed(new_world, kit, story, number, after=after)
        world.bury()
        check_the_end(world, story, None, where=where)
