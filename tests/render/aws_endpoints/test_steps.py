"""From what is there to what is wanted, on a SageMaker that behaves as its API description says."""

from datetime import timedelta

import pytest

from mlinfra.contract.jobs import Artefact


def test_an_endpoint_is_made_with_its_model_and_configuration(world, kit):
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert world.platform.sent == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    observed = world.look()
    (deployment,) = observed.deployments
    assert (observed.name, observed.state, observed.traffic) == ("credit-risk", "ready", {"main-00000001": 100})
    assert (deployment.model, deployment.version, deployment.digest) == ("credit-risk", "1", f"sha256:{1:064x}")


def test_what_is_there_is_left_alone(world, kit):
    world.reach({1: 100})
    world.platform.sent.clear()
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert world.platform.sent == []


def test_a_new_version_is_ready_before_it_has_traffic_and_the_old_goes_last(world):
    world.reach({1: 100})
    seen = []
    for shares in ({2: 0, 1: 100}, {2: 10, 1: 90}, {2: 100, 1: 0}, {2: 100}):
        world.reach(shares)
        seen.append(world.shares)
    assert seen == [{2: 0, 1: 100}, {2: 10, 1: 90}, {2: 100, 1: 0}, {2: 100}]
    assert (world.platform.wrongs, world.left_over) == ([], [])


def test_one_wish_leads_through_readiness_weights_and_removal_in_this_order(world):
    world.reach({1: 100})
    world.platform.sent.clear()
    world.reach({2: 100})
    assert world.platform.sent == [
        "CreateModel",
        "CreateEndpointConfig",
        "UpdateEndpoint",
        "UpdateEndpointWeightsAndCapacities",
        "CreateEndpointConfig",
        "UpdateEndpoint",
        "DeleteEndpointConfig",
        "DeleteEndpointConfig",
        "DeleteModel",
    ]
    assert world.platform.wrongs == []


@pytest.mark.parametrize("shares", [{1: 1, 2: 99}, {1: 33, 2: 33, 3: 34}, {1: 100, 2: 0}, {1: 7, 2: 93}])
def test_traffic_is_read_back_as_it_was_written(world, shares):
    world.reach(shares)
    assert world.shares == shares


def test_a_version_that_never_becomes_ready_leaves_the_old_one_alone_and_is_cleaned_away(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add(f"{2:064x}")
    failed = world.reach({2: 0, 1: 100})
    assert isinstance(failed, kit.Failed)
    assert "did not pass the ping" in failed.reason
    assert world.shares == {1: 100}
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert (world.shares, world.left_over, world.platform.wrongs) == ({1: 100}, [], [])


def test_a_version_that_was_mended_may_be_tried_again(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add(f"{2:064x}")
    assert isinstance(world.reach({2: 0, 1: 100}), kit.Failed)
    world.reach({1: 100})
    world.platform.stillborn.clear()
    assert isinstance(world.reach({2: 0, 1: 100}), kit.Done)


def test_a_first_version_that_never_becomes_ready_fails_with_the_reason_and_leaves_nothing(world, kit):
    world.platform.stillborn.add(f"{1:064x}")
    failed = world.reach({1: 100})
    assert "did not pass the ping" in failed.reason
    assert world.look().deployments[0].state == "failed"
    assert isinstance(world.reach(), kit.Done)
    assert (world.look(), world.left_over) == (None, [])


def test_a_deleted_endpoint_leaves_nothing(world, kit):
    world.reach({1: 50, 2: 50}, scale={"min": 1, "max": 4})
    assert set(world.platform.targets) == {"main-00000001", "main-00000002"}
    assert isinstance(world.reach(), kit.Done)
    platform = world.platform
    assert (platform.endpoint, platform.models, platform.configs, platform.targets) == (None, {}, {}, {})
    assert platform.wrongs == []


def test_an_endpoint_that_somebody_else_deleted_is_made_anew(world):
    world.reach({1: 100})
    world.platform.delete_endpoint({"EndpointName": world.name})
    world.platform.advance(60.0)
    assert world.look().detail == "gone"
    world.reach({2: 100})
    assert (world.shares, world.left_over) == ({2: 100}, [])


def test_other_endpoints_belongings_are_left_alone(world, new_world):
    world.reach({1: 100})
    other = new_world()
    other.platform = world.platform
    theirs = world.platform.models.copy()
    world.platform.models |= {name.replace("credit-risk", "my-credit-risk"): body for name, body in theirs.items()}
    world.platform.tags |= {name: [] for name in world.platform.models}
    world.reach()
    assert [name for name in world.platform.models if "my-credit-risk" in name] == list(world.platform.models)
    assert len(world.platform.models) == 1


def test_the_platform_is_asked_for_one_thing_at_a_time(world, kit):
    world.reach({1: 100})
    engine = world.engine()
    wish = world.desired({2: 100})
    while not isinstance(step := engine.step(wish), kit.Wait):
        for request in step.requests:
            engine.effect(request)
    assert "which is Updating" in step.until
    assert [each.state for each in world.look().deployments] == ["ready", "creating"]


def test_replicas_are_set_before_traffic_moves(world):
    world.reach({1: 100})
    desired = world.desired(deployments=(world.deployment(1, replicas=3),), scale={"min": 3, "max": 3})
    world.engine().reach(desired)
    assert world.look().deployments[0].replicas == 3


def test_the_replicas_of_several_variants_are_set_one_after_the_other(world):
    world.reach({1: 50, 2: 50})
    more = [world.deployment(version, 50, replicas=2) for version in (1, 2)]
    world.engine().reach(world.desired(deployments=more, scale={"min": 2, "max": 2}))
    assert [each.replicas for each in world.look().deployments] == [2, 2]
    assert world.platform.sent.count("UpdateEndpointWeightsAndCapacities") == 2


def test_the_end_of_an_endpoint_is_a_tag_that_moves_and_goes(world, kit):
    end = kit.START + timedelta(hours=8)
    world.reach({1: 100}, expires=end)
    assert world.look().expires == end
    world.reach({1: 100}, expires=end + timedelta(hours=1))
    assert world.look().expires == end + timedelta(hours=1)
    world.reach({1: 100})
    assert world.look().expires is None
    assert world.look().tags["CostCentre"] == "42"


def test_more_variants_than_sagemaker_holds_are_refused_with_the_number(world, kit):
    world.reach(dict.fromkeys(range(1, 11), 10))
    failed = world.reach({11: 100})
    assert isinstance(failed, kit.Failed)
    assert "10 variants" in failed.reason
    assert len(world.shares) == 10


def test_a_deployment_of_which_nothing_is_recorded_is_kept_and_gone_back_to(world):
    world.reach({1: 100})
    unknown = world.deployment(1, variant="main-00000001", artefact=Artefact(""), server={})
    newcomer = world.deployment(2, 0)
    world.engine().reach(world.desired(deployments=(newcomer, unknown)))
    assert world.shares == {1: 100, 2: 0}
    world.engine().reach(world.desired(deployments=(unknown,)))
    assert (world.shares, world.left_over) == ({1: 100}, [])


def test_a_stack_s_endpoint_is_known_by_its_tag(world):
    world.reach({1: 100})
    arn = world.look().native["arn"]
    world.platform.add_tags({"ResourceArn": arn, "Tags": [{"Key": "mlinfra_owner", "Value": "stack"}]})
    assert world.look().owned_by_stack
