import pytest

from mlinfra.engine.endpoint_changes import Asked, abort, delete, resume, rollback, traffic
from mlinfra.engine.endpoint_work import Change
from mlinfra.engine.rollout import Phase
from mlinfra.errors import Conflict, Denied, DeploymentFailed, NotFound, RolledBack, Unavailable, UsageError

CANARY = {"steps": ["10%", "50%", "100%"], "bake": "3m", "min_requests": 100}
NAME = "credit-risk"


def standing(world):
    """A canary that its process left at 10 %."""
    world.deploy("1")
    with pytest.raises(Unavailable):
        world.deploy("2", rollout=CANARY, time_limit=60.0)
    assert world.shares == {"1": 90, "2": 10}


def test_resume_goes_on_from_the_step_with_what_was_recorded(world):
    standing(world)
    outcome = resume(world.session("grace"), NAME)
    assert outcome.rollout.phase is Phase.COMPLETED
    assert (world.shares, world.versions, len(world.platform.created)) == ({"2": 100}, ["2"], 2)
    shares = [sorted(each.shares.values()) for each in world.endpoint.history]
    assert shares == [[100], [10, 90], [50, 50], [100]]


def test_resume_still_goes_back_when_the_figures_say_so(world, kit):
    world.platform.behaviours["2"] = kit.Behaviour(error_share=0.5, errors_from=500.0)
    standing(world)
    world.clock.time += 900.0
    with pytest.raises(RolledBack):
        resume(world.session(), NAME)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_abort_goes_back_and_cleans_up(world):
    standing(world)
    outcome = abort(world.session("grace"), NAME)
    assert (outcome.change, outcome.rollout.phase) == (Change.WENT_BACK, Phase.ABORTED)
    assert outcome.rollout.cause == "grace asked for it"
    assert (world.shares, world.versions, world.platform.wrongs) == ({"1": 100}, ["1"], [])


@pytest.mark.parametrize("verb", [resume, abort])
def test_where_no_rollout_stands_there_is_nothing_to_resume_or_abort(world, verb):
    world.deploy("1")
    with pytest.raises(NotFound, match="no rollout stands"):
        verb(world.session(), NAME)


def test_a_rollout_that_another_process_watches_goes_back_when_asked(world):
    world.deploy("1")
    watching, other = world.session("ada"), world.session("grace")
    asked = []

    def ask_once(operation):
        if operation == "Health" and not asked:
            asked.append(abort(other, NAME))

    watching.client._faults.on_call = ask_once
    with pytest.raises(RolledBack, match=r"credit-risk:2 was aborted at 10 % .*: grace asked for it"):
        world.deploy("2", session=watching, rollout=CANARY)
    assert isinstance(asked[0], Asked)
    assert asked[0].watched_by.startswith("ada on ")
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])
    world.deploy("2", rollout=CANARY)  # an old wish to stop does not outlive its rollout
    assert world.shares == {"2": 100}


def test_a_rollout_past_its_last_step_is_not_aborted(world, kit):
    world.deploy("1")
    session = world.session()

    def at_the_last_call(operation):
        if operation == "DeleteDeployment":
            raise kit.Killed

    session.client._faults.on_call = at_the_last_call
    with pytest.raises(kit.Killed):
        world.deploy("2", session=session, rollout=CANARY)
    world.bury()
    with pytest.raises(Conflict, match="passed its last step"):
        abort(world.session(), NAME)
    resume(world.session(), NAME)
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])


def test_rollback_makes_the_release_before_ready_and_probes_it_first(world):
    world.deploy("1")
    world.deploy("2", rollout=CANARY)
    outcome = rollback(world.session(), NAME)
    assert (outcome.change, world.shares, world.versions) == (Change.WENT_BACK, {"1": 100}, ["1"])
    assert world.platform.wrongs == []
    assert world.platform.created[0] == world.platform.created[2]  # the same deployment, made again
    assert "Invoke" in world.faults.calls


def test_rollback_goes_further_back_each_time_and_never_to_what_was_left(world):
    for version in ("1", "2", "3"):
        world.deploy(version)
    rollback(world.session(), NAME)
    assert world.shares == {"2": 100}
    rollback(world.session(), NAME)
    assert world.shares == {"1": 100}
    with pytest.raises(NotFound, match="no earlier release"):
        rollback(world.session(), NAME)


@pytest.mark.parametrize("to", ["1", "credit-risk:1"])
def test_rollback_to_a_named_version_is_safe_to_repeat(world, to):
    for version in ("1", "2", "3"):
        world.deploy(version)
    rollback(world.session(), NAME, to)
    assert world.shares == {"1": 100}
    assert rollback(world.session(), NAME, to).change is Change.UNCHANGED
    with pytest.raises(NotFound, match="no earlier release") as caught:
        rollback(world.session(), NAME, "9")
    assert "credit-risk:2" in caught.value.allowed


def test_rollback_to_a_release_that_is_broken_now_changes_nothing(world, kit):
    world.deploy("1")
    world.deploy("2")
    world.platform.behaviours["1"] = kit.Behaviour(fails_after=10.0)
    with pytest.raises(DeploymentFailed, match="credit-risk:2 serves as before"):
        rollback(world.session(), NAME)
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])


def test_rollback_of_a_rollout_that_stands_aborts_it(world):
    standing(world)
    rollback(world.session(), NAME)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_a_rollback_that_was_interrupted_is_gone_on_with(world, kit):
    world.deploy("1")
    world.deploy("2")
    session = world.session()

    def killed(operation):
        if operation == "SetTraffic":
            raise kit.Killed

    session.client._faults.on_call = killed
    with pytest.raises(kit.Killed):
        rollback(session, NAME)
    world.bury()
    with pytest.raises(Conflict, match="a rollout stands"):
        rollback(world.session(), NAME, "7")
    assert rollback(world.session(), NAME).change is Change.WENT_BACK
    assert (world.shares, world.versions, len(world.platform.created)) == ({"1": 100}, ["1"], 3)


def test_rollback_leaves_the_endpoint_s_end_and_takes_the_load_that_is_there(world):
    scale = {"min": 1, "max": 8}
    world.deploy("1", scale=scale)
    world.clock.time += 5 * 3600
    world.deploy("2", scale=scale)
    ends = world.endpoint.expires
    next(iter(world.endpoint.deployments.values())).replicas = 6
    world.clock.time += 2 * 3600
    rollback(world.session(), NAME)
    assert world.endpoint.expires == ends > "2030-01-01T13:00"
    assert [each.replicas for each in world.endpoint.deployments.values()] == [6]


def test_rollback_reaches_what_served_before_the_endpoint_was_removed(world):
    world.deploy("1")
    world.platform.endpoints.clear()
    world.deploy("2")
    rollback(world.session(), NAME)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_rollback_restores_the_spec_of_its_release(world):
    world.deploy("1", resources={"cpu": 2})
    world.deploy("2", resources={"cpu": 8})
    outcome = rollback(world.session(), NAME)
    assert outcome.rollout.new.spec.resources.cpu == 2


def test_traffic_sets_shares_by_variant_or_deployment(world):
    variants = {
        "main": {"model": "credit-risk:1", "traffic": "70%"},
        "rival": {"model": "credit-risk:7", "traffic": "30%"},
    }
    world.deploy(deployments=variants)
    assert traffic(world.session(), NAME, {"main": 20, "rival": 80}).change is Change.ADJUSTED
    assert world.shares == {"1": 20, "7": 80}
    main = next(name for name in world.endpoint.deployments if name.startswith("main"))
    traffic(world.session(), NAME, {main: 100})
    assert world.shares == {"1": 100}
    assert world.versions == ["1", "7"]  # nobody asked to remove the rival
    assert traffic(world.session(), NAME, {main: 100}).change is Change.UNCHANGED
    traffic(world.session(), NAME, {"rival": 100})
    assert world.shares == {"7": 100}


@pytest.mark.parametrize("split", [{"main": 50}, {"other": 100}, {"main": 0}, {"main": 150, "rival": -50}])
def test_traffic_refuses_what_is_no_split_of_what_is_there(world, split):
    world.deploy("1")
    sent = len(world.platform.sent)
    with pytest.raises(UsageError):
        traffic(world.session(), NAME, split)
    assert len(world.platform.sent) == sent


def test_traffic_is_the_rollout_s_while_one_stands(world):
    standing(world)
    with pytest.raises(Conflict, match="a rollout stands"):
        traffic(world.session(), NAME, {"main": 100})


def test_delete_removes_everything_and_may_be_repeated(world):
    world.deploy("1")
    world.deploy("2")
    assert delete(world.session(), NAME) is True
    world.platform._sweep()
    assert world.endpoint is None
    assert not [key for key in world.objects if key.startswith("kit/rollouts/")]
    assert delete(world.session(), NAME) is False
    world.deploy("1")
    assert world.shares == {"1": 100}


def test_delete_takes_a_rollout_that_stands_with_it(world):
    standing(world)
    assert delete(world.session(), NAME) is True
    world.platform._sweep()
    assert world.endpoint is None


def test_delete_needs_no_record(world):
    world.deploy("1")
    world.objects.clear()
    assert delete(world.session(), NAME) is True
    world.platform._sweep()
    assert world.endpoint is None


def test_without_a_record_a_deploy_still_replaces_what_serves_step_by_step(world):
    world.deploy("1")
    world.objects.clear()
    world.deploy("2", rollout=CANARY)
    assert [sorted(each.shares.values()) for each in world.endpoint.history] == [[100], [10, 90], [50, 50], [100]]
    with pytest.raises(NotFound):  # nobody knows how to make what served before
        rollback(world.session(), NAME)


@pytest.mark.parametrize("verb", [delete, rollback, lambda session, name: traffic(session, name, {"main": 100})])
def test_no_verb_touches_a_stack_s_own_endpoint(world, verb):
    world.deploy("1")
    world.endpoint.owned_by_stack = True
    sent = len(world.platform.sent)
    with pytest.raises(Denied):
        verb(world.session(), NAME)
    assert len(world.platform.sent) == sent


@pytest.mark.parametrize("verb", [rollback, lambda session, name: traffic(session, name, {"main": 100})])
def test_an_endpoint_that_is_not_there_is_not_found(world, verb):
    with pytest.raises(NotFound):
        verb(world.session(), NAME)


def test_every_change_is_written_down_with_who_did_it(world):
    world.deploy("1")
    traffic(world.session(), NAME, {"main": 100})
    world.deploy("2")
    rollback(world.session("grace"), NAME)
    delete(world.session("grace"), NAME)
    verbs = world.audit()
    assert {"deploy", "complete", "roll back", "delete"} <= set(verbs)
    assert "adjust" not in verbs
