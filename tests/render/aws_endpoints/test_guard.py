"""SageMaker's own guard: one deployment in the place of another, watched by alarms."""

import pytest

from mlinfra.errors import CapabilityError
from mlinfra_aws.render.endpoint_guard import deployment_config


@pytest.mark.parametrize(
    ("steps", "routing"),
    [
        ((100,), {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}),
        (
            (10, 100),
            {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                "WaitIntervalInSeconds": 300,
            },
        ),
        (
            (25, 50, 75, 100),
            {
                "Type": "LINEAR",
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                "WaitIntervalInSeconds": 300,
            },
        ),
    ],
)
def test_steps_are_said_in_sagemakers_words(kit, steps, routing):
    told = deployment_config(kit.Guard(steps, 300.0, ("errors-high", "slow")))
    assert told["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == routing
    assert told["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] == 3600 + 300 * len(steps)
    assert told["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "errors-high"}, {"AlarmName": "slow"}]}


def test_more_alarms_than_sagemaker_watches_are_refused(kit):
    with pytest.raises(CapabilityError, match="11 alarms"):
        deployment_config(kit.Guard((100,), 0.0, tuple(f"alarm-{number}" for number in range(11))))


def guarded(world, kit, version):
    return world.reach({version: 100}, guard=kit.Guard((10, 100), 60.0, ("errors-high",)))


def test_a_guarded_change_is_one_update_of_the_same_variant(world, kit):
    world.reach({1: 100})
    world.platform.sent.clear()
    assert isinstance(guarded(world, kit, 2), kit.Done)
    assert world.platform.sent.count("UpdateEndpoint") == 1
    assert "UpdateEndpointWeightsAndCapacities" not in world.platform.sent
    (deployment,) = world.look().deployments
    assert (deployment.name, deployment.native_id, deployment.version) == ("main-00000002", "main-00000001", "2")
    assert (world.left_over, world.platform.wrongs) == ([], [])


def test_an_alarm_takes_it_back_with_its_reason(world, kit):
    world.reach({1: 100})
    world.platform.alarming = True
    failed = guarded(world, kit, 2)
    assert isinstance(failed, kit.Failed)
    assert "alarms" in failed.reason
    world.reach({1: 100})
    assert (world.shares, world.left_over) == ({1: 100}, [])


def test_the_next_rollout_goes_on_from_a_variant_that_bears_another_name(world, kit):
    world.reach({1: 100})
    guarded(world, kit, 2)
    for shares in ({3: 0, 2: 100}, {3: 50, 2: 50}, {3: 100}):
        world.reach(shares)
        assert world.shares == shares
    guarded(world, kit, 1)
    assert world.shares == {1: 100}
    assert world.platform.wrongs == []


def test_a_deployment_whose_name_is_taken_gets_a_free_one(world, kit):
    world.reach({1: 100})
    guarded(world, kit, 2)
    world.reach({1: 0, 2: 100})
    names = {each.name: each.native_id for each in world.look().deployments}
    assert names == {"main-00000002": "main-00000001", "main-00000001": "main-00000001-2"}


def test_a_target_is_taken_away_before_its_machine_changes_and_comes_back(world, kit):
    scale = {"min": 1, "max": 4}
    world.reach({1: 100}, scale=scale)
    guard = kit.Guard((100,), 0.0, ("errors-high",))
    world.platform.sent.clear()
    world.reach({2: 100}, guard=guard, scale=scale, machine={"aws": "ml.c5.xlarge"})
    sent = world.platform.sent
    assert sent.index("DeregisterScalableTarget") < sent.index("UpdateEndpoint") < sent.index("RegisterScalableTarget")
    assert (world.platform.wrongs, set(world.platform.targets)) == ([], {"main-00000001"})


def test_the_guard_takes_no_variants_side_by_side(world, kit):
    world.reach({1: 50, 2: 50})
    assert isinstance(guarded(world, kit, 3), kit.Failed)
    assert world.shares == {1: 50, 2: 50}
