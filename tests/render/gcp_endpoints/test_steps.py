"""The order of steps: ready before traffic, traffic gone before removal, one operation at a time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.states import EndpointState
from mlinfra.errors import Conflict


def test_a_first_endpoint_is_made_in_three_operations_and_traffic_comes_with_the_last(world, kit):
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert world.platform.sent == ["CreateEndpoint", "UploadModel", "DeployModel"]
    assert (world.shares, world.look().state) == ({1: 100}, EndpointState.READY)
    (deployment,) = world.look().deployments
    assert (deployment.name, deployment.model, deployment.version) == ("main-00000001", "credit-risk", "1")
    assert deployment.digest == f"sha256:{1:064x}"
    assert deployment.tags["mlinfra_id"] == f"{1:040x}"


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


def test_one_wish_leads_through_readiness_traffic_and_removal_in_this_order(world):
    world.reach({1: 100})
    world.platform.sent.clear()
    world.reach({2: 100})
    assert world.platform.sent == ["UploadModel", "DeployModel", "UndeployModel", "DeleteModel"]
    assert world.platform.wrongs == []


@pytest.mark.parametrize("shares", [{1: 1, 2: 99}, {1: 33, 2: 33, 3: 34}, {1: 100, 2: 0}, {1: 7, 2: 93}])
def test_traffic_is_read_back_as_it_was_written(world, shares):
    world.reach(shares)
    assert world.shares == shares


def test_a_deployment_beside_others_moves_no_traffic(world, kit):
    world.reach({1: 100})
    (request,) = deploys(world, kit, {2: 0, 1: 100})
    assert "trafficSplit" not in request.body


def test_the_last_newcomer_brings_the_split_with_itself_as_zero(world, kit):
    world.reach({1: 100})
    (old,) = [each.native_id for each in world.look().deployments]
    (request,) = deploys(world, kit, {2: 30, 1: 70})
    assert request.body["trafficSplit"] == {"0": 30, old: 70}


def deploys(world, kit, shares):
    """The DeployModel that a wish leads to."""
    engine = world.engine()
    for _ in range(100):
        step = engine.step(world.desired(shares))
        if isinstance(step, kit.Wait):
            world.platform.advance(step.poll_after)
            continue
        if step.requests[0].operation == "DeployModel":
            return step.requests
        for request in step.requests:
            engine.effect(request)
    raise AssertionError("no DeployModel")


def test_a_version_that_never_becomes_ready_leaves_the_old_one_alone_and_is_cleaned_away(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add(f"{2:064x}")
    failed = world.reach({2: 0, 1: 100})
    assert isinstance(failed, kit.Failed)
    assert "never became ready" in failed.reason
    assert world.shares == {1: 100, 2: 0}
    assert world.look().deployment("main-00000002").state is EndpointState.FAILED
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert (world.shares, world.left_over, world.platform.wrongs) == ({1: 100}, [], [])


def test_a_version_that_was_mended_may_be_tried_again(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add(f"{2:064x}")
    assert isinstance(world.reach({2: 0, 1: 100}), kit.Failed)
    world.reach({1: 100})
    world.platform.stillborn.clear()
    assert isinstance(world.reach({2: 0, 1: 100}), kit.Done)


def test_another_version_s_failure_is_not_one_s_own(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add(f"{2:064x}")
    assert isinstance(world.reach({2: 0, 1: 100}), kit.Failed)
    assert isinstance(world.reach({3: 0, 1: 100}), kit.Done)
    assert (world.shares, world.left_over) == ({3: 0, 1: 100}, [])


def test_a_failure_is_that_of_the_one_model_that_was_not_deployed(world, kit):
    world.reach({1: 100})
    engine = world.engine()
    while "UndeployModel" not in world.platform.sent:  # and killed before the first version's model is deleted
        step = engine.step(world.desired({2: 100}))
        for request in getattr(step, "requests", ()):
            engine.effect(request)
        world.platform.advance(getattr(step, "poll_after", 1.0))
    world.platform.stillborn.add(f"{3:064x}")
    assert isinstance(world.reach({3: 0, 2: 100}), kit.Failed)
    assert isinstance(world.reach({1: 0, 2: 100}), kit.Done)
    assert (world.shares, world.left_over) == ({1: 0, 2: 100}, [])


def test_a_first_version_that_never_becomes_ready_fails_with_the_reason_and_leaves_nothing(world, kit):
    world.platform.stillborn.add(f"{1:064x}")
    failed = world.reach({1: 100})
    assert "never became ready" in failed.reason
    assert world.look().deployments[0].state is EndpointState.FAILED
    assert isinstance(world.reach(), kit.Done)
    assert (world.look(), world.left_over, world.platform.models) == (None, [], {})


@pytest.mark.parametrize("kind", ["CreateEndpoint", "UploadModel", "UndeployModel", "Delete"])
def test_an_operation_that_fails_is_told_with_the_service_s_words(world, kit, kind):
    world.platform.unwell.add(kind)
    failed = world.reach({1: 100})
    failed = failed if isinstance(failed, kit.Failed) else world.reach()
    assert isinstance(failed, kit.Failed)
    assert "Internal error" in failed.reason


def test_a_deleted_endpoint_leaves_nothing_whoever_had_traffic(world, kit):
    world.reach({1: 50, 2: 30, 3: 20})
    world.platform.sent.clear()
    assert isinstance(world.reach(), kit.Done)
    assert world.platform.sent == [*["UndeployModel"] * 3, *["DeleteModel"] * 3, "DeleteEndpoint"]
    assert (world.platform.endpoint, world.platform.models, world.platform.wrongs) == (None, {}, [])


def test_whoever_has_no_traffic_goes_first_so_that_none_has_to_move(world, kit):
    world.reach({1: 100, 2: 0})
    step = world.engine().step(world.desired())
    (request,) = step.requests
    assert request.body["deployedModelId"] == world.look().deployment("main-00000002").native_id
    assert "trafficSplit" not in request.body


def test_an_endpoint_that_somebody_else_deleted_is_made_anew(world):
    world.reach({1: 100})
    world.platform.endpoint = None
    assert world.look().detail == "gone"
    world.reach({2: 100})
    assert (world.shares, world.left_over) == ({2: 100}, [])


def test_models_of_a_gone_endpoint_are_deleted_with_it(world, kit):
    world.reach({1: 100})
    world.platform.endpoint = None
    assert isinstance(world.reach(), kit.Done)
    assert (world.look(), world.platform.models) == (None, {})


def test_a_second_deployed_model_of_the_same_deployment_goes(world):
    world.reach({1: 100})
    platform = world.platform
    first = platform.endpoint.deployed[0]
    platform.endpoint.deployed.append({**first, "id": "77", "createTime": "2030-02-01T00:00:00Z"})
    platform.sent.clear()
    world.reach({1: 100})
    assert platform.sent == ["UndeployModel"]
    assert platform.endpoint.deployed == [first]
    assert platform.wrongs == []


def test_of_two_the_one_that_serves_stays(world):
    world.reach({1: 100})
    platform = world.platform
    second = {**platform.endpoint.deployed[0], "id": "77", "createTime": "2030-02-01T00:00:00Z"}
    platform.endpoint.deployed.append(second)
    platform.endpoint.split = {"77": 100}
    world.reach({1: 100})
    assert platform.endpoint.deployed == [second]


def test_a_deploy_whose_reply_was_lost_is_found_by_its_display_name(world, kit):
    world.reach({1: 100})
    (request,) = deploys(world, kit, {2: 0, 1: 100})
    platform = world.platform
    platform.send(request)
    platform.advance(kit.DEPLOY_SECONDS)
    assert world.engine().look_up(request)["displayName"] == f"main-00000002 {2:040x} 1"
    with pytest.raises(Conflict):
        platform.send(request)


def test_an_operation_of_somebody_else_is_waited_for(world, kit):
    world.reach({1: 100})
    platform = world.platform
    platform._begin(platform.endpoint.body["name"], "SomethingNew", 30.0, lambda: None)
    assert world.look().state is EndpointState.UNKNOWN
    step = world.engine().step(world.desired({2: 100}))
    assert isinstance(step, kit.Wait)
    assert "SomethingNew" in step.until
    assert isinstance(world.reach({2: 100}), kit.Done)


def test_a_change_that_somebody_else_made_meanwhile_is_looked_at_first(world, kit):
    world.reach({1: 50, 2: 50})
    step = world.engine().step(world.desired({1: 90, 2: 10}))
    world.platform.endpoint.version += 1
    with pytest.raises(Conflict):
        world.platform.send(step.requests[0])


def test_the_end_of_an_endpoint_is_a_label_that_moves_and_goes(world, kit):
    end = kit.START + timedelta(hours=8)
    world.reach({1: 100}, expires=end)
    assert world.look().expires == end
    world.reach({1: 100}, expires=end + timedelta(hours=1))
    assert world.look().expires == end + timedelta(hours=1)
    world.reach({1: 100})
    assert world.look().expires is None
    assert world.platform.endpoint.body["labels"]["costcentre"] == "42"


def test_a_deployment_of_which_nothing_is_recorded_is_kept_and_gone_back_to(world):
    world.reach({1: 100})
    unknown = world.deployment(1, variant="main-00000001", artefact=Artefact(""), server={})
    newcomer = world.deployment(2, 0)
    world.engine().reach(world.desired(deployments=(newcomer, unknown)))
    assert world.shares == {1: 100, 2: 0}
    world.engine().reach(world.desired(deployments=(unknown,)))
    assert (world.shares, world.left_over) == ({1: 100}, [])


def test_a_deployed_model_that_is_none_of_the_kit_s_is_told_by_its_own_name(world):
    world.reach({1: 100})
    world.platform.endpoint.deployed[0] |= {
        "displayName": "by hand",
        "model": "projects/9/locations/europe-west4/models/theirs@3",
    }
    (deployment,) = [each for each in world.look().deployments if each.native_id]
    assert (deployment.name, deployment.model, deployment.tags) == ("by hand", "", {})


def test_a_stack_s_endpoint_is_known_by_its_label(world):
    world.reach({1: 100})
    world.platform.endpoint.body["labels"] |= {"mlinfra_owner": "stack"}
    assert world.look().owned_by_stack


SHELLS = {"native": {"shells": {"credit-risk": "1234567890"}}}


def test_a_stack_s_shell_is_filled_and_emptied_and_nothing_else(new_world, kit):
    world = new_world(**SHELLS)
    world.shell()
    before = dict(world.platform.endpoint.body)
    assert isinstance(world.reach({1: 100}, expires=kit.START), kit.Done)
    assert world.platform.sent == ["UploadModel", "DeployModel"]
    assert (world.shares, world.look().name, world.look().physical_name) == ({1: 100}, "credit-risk", world.name)
    assert isinstance(world.reach(), kit.Done)
    assert (world.platform.endpoint.body, world.platform.endpoint.deployed) == (before, [])
    assert world.platform.models == {}


def test_a_shell_that_is_gone_is_the_stack_s_to_make(new_world, kit):
    failed = new_world(**SHELLS).reach({1: 100})
    assert isinstance(failed, kit.Failed)
    assert "env up" in failed.todo


def test_a_deployment_under_way_is_creating_and_says_how_far_it_is(world, kit):
    world.reach({1: 100})
    (request,) = deploys(world, kit, {2: 0, 1: 100})
    world.platform.send(request)
    states = {each.name: each.state for each in world.look().deployments}
    assert states == {"main-00000001": EndpointState.READY, "main-00000002": EndpointState.CREATING}
    assert world.look().state is EndpointState.UPDATING


def test_a_deployed_model_that_shows_before_its_operation_has_ended_is_not_ready(world, kit):
    world.reach({1: 100})
    (request,) = deploys(world, kit, {2: 0, 1: 100})
    world.platform.send(request)
    world.platform.endpoint.deployed.append({**request.body["deployedModel"], "createTime": "2030-06-01T00:00:00Z"})
    newcomer = world.look().deployment("main-00000002")
    assert (newcomer.state, newcomer.ready_replicas) == (EndpointState.CREATING, 0)


SCALED = {"scale": {"min": 1, "max": 4, "per_replica": {"requests_per_minute": 600}}}


def resources(world):
    return {each["displayName"].split()[0]: each["dedicatedResources"] for each in world.platform.endpoint.deployed}


def test_replicas_follow_requests_between_their_bounds(world):
    world.reach({1: 100}, **SCALED)
    told = resources(world)["main-00000001"]
    assert (told["minReplicaCount"], told["maxReplicaCount"]) == (1, 4)
    assert told["autoscalingMetricSpecs"] == [
        {"metricName": "aiplatform.googleapis.com/prediction/online/request_count", "target": 600}
    ]


def test_without_a_load_that_a_replica_bears_the_platform_s_own_rule_holds(world):
    world.reach({1: 100}, scale={"min": 1, "max": 4})
    assert "autoscalingMetricSpecs" not in resources(world)["main-00000001"]


def test_other_bounds_are_set_without_a_new_deployment(world):
    world.reach({1: 100})
    world.platform.sent.clear()
    world.reach({1: 100}, scale={"min": 2, "max": 6, "per_replica": {"requests_per_minute": 90}})
    assert world.platform.sent == ["MutateDeployedModel"]
    told = resources(world)["main-00000001"]
    assert (told["minReplicaCount"], told["maxReplicaCount"]) == (2, 6)
    assert told["autoscalingMetricSpecs"][0]["target"] == 90
    world.reach({1: 100})
    assert "autoscalingMetricSpecs" not in resources(world)["main-00000001"]


def test_a_newcomer_begins_with_as_many_replicas_as_the_load_needs_and_comes_down_afterwards(world):
    world.reach({1: 100}, **SCALED)
    deployments = (world.deployment(2, 0, replicas=3), world.deployment(1, 100, replicas=3))
    world.engine().reach(world.desired(deployments=deployments, **SCALED))
    assert {name: each["minReplicaCount"] for name, each in resources(world).items()} == {
        "main-00000001": 1,
        "main-00000002": 3,
    }
    alone = (replace(deployments[0], traffic=100),)
    world.engine().reach(world.desired(deployments=alone, **SCALED))
    assert resources(world)["main-00000002"]["minReplicaCount"] == 1
    assert world.platform.wrongs == []


def test_the_numbers_that_an_override_gives_are_those_that_hold(world):
    patch = {"gcp": {"DeployModel": {"deployedModel": {"dedicatedResources": {"maxReplicaCount": 9}}}}}
    world.reach({1: 100}, overrides=patch)
    world.platform.sent.clear()
    world.reach({1: 100}, overrides=patch)
    assert (resources(world)["main-00000001"]["maxReplicaCount"], world.platform.sent) == (9, [])


def test_machines_of_another_kind_are_left_as_the_override_says(world):
    resources_patch = {"dedicatedResources": None, "automaticResources": {"minReplicaCount": 1}}
    patch = {"gcp": {"DeployModel": {"deployedModel": resources_patch}}}
    world.reach({1: 100}, overrides=patch)
    assert world.platform.endpoint.deployed[0]["automaticResources"] == {"minReplicaCount": 1}
    assert world.shares == {1: 100}
