"""The order of steps: ready before traffic, traffic gone before removal, one operation at a time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.states import EndpointState
from mlinfra.errors import Conflict

ENDPOINT, DEPLOYMENT = "OnlineEndpoints_CreateOrUpdate", "OnlineDeployments_CreateOrUpdate"
RUNS_IN = "EnvironmentVersions_CreateOrUpdate"


def test_a_first_endpoint_is_made_with_its_deployment_before_it_has_traffic(world, kit):
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert world.platform.sent == [ENDPOINT, RUNS_IN, DEPLOYMENT, ENDPOINT]
    assert "traffic" not in world.platform.bodies[0]["body"]["properties"]
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
    assert seen == [{1: 100, 2: 0}, {1: 90, 2: 10}, {1: 0, 2: 100}, {2: 100}]
    assert (world.platform.wrongs, world.left_over) == ([], [])


def test_one_wish_leads_through_readiness_traffic_and_removal_in_this_order(world):
    world.reach({1: 100})
    world.platform.sent.clear()
    world.reach({2: 100})
    assert world.platform.sent == [RUNS_IN, DEPLOYMENT, ENDPOINT, "OnlineDeployments_Delete"]
    assert world.platform.wrongs == []


@pytest.mark.parametrize("shares", [{1: 1, 2: 99}, {1: 33, 2: 33, 3: 34}, {1: 100, 2: 0}, {1: 7, 2: 93}])
def test_traffic_is_read_back_as_it_was_written(world, shares):
    world.reach(shares)
    assert world.shares == shares


def test_traffic_that_is_acknowledged_and_not_shown_yet_is_waited_for_and_ends_as_asked(world, kit):
    world.reach({1: 50, 2: 50})
    world.platform.lag = 50.0  # 30 s longer than the operation itself takes
    assert isinstance(world.reach({1: 10, 2: 90}), kit.Done)
    assert world.shares == {1: 10, 2: 90}
    assert world.platform.wrongs == []


def test_everything_but_the_traffic_stays_as_it_was_read(world):
    world.reach({1: 100})
    endpoint = world.platform.endpoint
    endpoint.body["tags"]["Colour"] = "green"
    endpoint.body["properties"] |= {"description": "theirs", "properties": {"azureml.own": "1"}, "authMode": "Key"}
    before = {**endpoint.body, "properties": {**endpoint.body["properties"]}}
    world.reach({2: 100})
    after = endpoint.body
    assert after["properties"].pop("traffic") == {"main-00000002": 100}
    assert after["properties"].pop("mirrorTraffic") == {}
    for body in (before, after):
        body["properties"] = {k: v for k, v in body["properties"].items() if k not in {"traffic", "mirrorTraffic"}}
    assert after == before


def test_the_same_change_is_the_same_request_whatever_the_service_notes_of_the_operation_before(world):
    world.reach({1: 50, 2: 50})
    world.platform.lag = 50.0
    engine, wish = world.engine(), world.desired({1: 10, 2: 90})
    (first,) = engine.step(wish).requests
    world.platform.send(first)
    world.platform.advance(30.0)
    (again,) = engine.step(wish).requests
    assert again.body["body"] == first.body["body"]
    assert again.body["ifMatch"] != first.body["ifMatch"]


def test_a_version_that_never_becomes_ready_leaves_the_old_one_alone_and_is_cleaned_away(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add("versions/2")
    failed = world.reach({2: 0, 1: 100})
    assert isinstance(failed, kit.Failed)
    assert "crashed" in failed.reason
    assert world.shares == {1: 100, 2: 0}
    assert world.look().deployment("main-00000002").state is EndpointState.FAILED
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert (world.shares, world.left_over, world.platform.wrongs) == ({1: 100}, [], [])


def test_a_deployment_that_failed_while_nobody_waited_has_failed_for_whoever_comes_next(world, kit):
    world.reach({1: 100})
    world.platform.stillborn.add("versions/2")
    assert isinstance(world.reach({2: 0, 1: 100}), kit.Failed)
    world.platform.sent.clear()
    failed = world.reach({2: 0, 1: 100})
    assert isinstance(failed, kit.Failed)
    assert "--deployment main-00000002" in failed.todo
    assert world.platform.sent == []


def test_a_deployment_that_serves_and_could_not_be_resized_is_no_failed_deployment(world, kit):
    world.reach({1: 100})
    world.platform.deployments["main-00000001"].state = "Failed"
    assert isinstance(world.reach({1: 100}), kit.Done)


def test_a_first_version_that_never_becomes_ready_fails_with_the_reason_and_leaves_nothing(world, kit):
    world.platform.stillborn.add("versions/1")
    failed = world.reach({1: 100})
    assert "crashed" in failed.reason
    assert isinstance(world.reach(), kit.Done)
    assert (world.look(), world.left_over) == (None, [])


@pytest.mark.parametrize("kind", [ENDPOINT, "OnlineDeployments_Delete", "OnlineEndpoints_Delete"])
def test_an_operation_that_fails_is_told_with_the_service_s_words(world, kit, kind):
    world.platform.unwell.add(kind)
    failed = world.reach({1: 100})
    failed = failed if isinstance(failed, kit.Failed) else world.reach()
    assert isinstance(failed, kit.Failed)
    assert "internal error" in failed.reason


def test_an_endpoint_that_could_not_be_made_says_so_and_is_removed(world, kit):
    world.platform.unwell.add(ENDPOINT)
    world.reach({1: 100})
    failed = world.reach({1: 100})
    assert isinstance(failed, kit.Failed)
    assert "Failed" in failed.reason
    assert isinstance(world.reach(), kit.Done)
    assert world.look() is None


def test_a_deleted_endpoint_loses_traffic_then_deployments_then_itself(world, kit):
    world.reach({1: 50, 2: 30, 3: 20}, scale={"min": 1, "max": 2})
    world.platform.sent.clear()
    assert isinstance(world.reach(), kit.Done)
    each = ["AutoscaleSettings_Delete", "OnlineDeployments_Delete"]
    assert world.platform.sent == [ENDPOINT, *each * 3, "OnlineEndpoints_Delete"]
    assert (world.look(), world.platform.deployments, world.platform.settings) == (None, {}, {})
    assert world.platform.wrongs == []


def test_settings_of_an_endpoint_that_somebody_else_deleted_go_with_delete(world, kit):
    world.reach({1: 100}, scale={"min": 1, "max": 2})
    theirs = {"name": "theirs", "tags": {}, "properties": {"targetResourceUri": "/x/onlineEndpoints/y/deployments/z"}}
    world.platform.settings["theirs"] = theirs
    world.platform.endpoint = None
    world.platform.deployments.clear()
    assert world.look().detail == "gone"
    assert isinstance(world.reach(), kit.Done)
    assert (world.look(), list(world.platform.settings)) == (None, ["theirs"])


def test_an_endpoint_that_somebody_else_deleted_is_made_anew(world):
    world.reach({1: 100}, scale={"min": 1, "max": 2})
    world.platform.endpoint = None
    world.platform.deployments.clear()
    world.reach({2: 100})
    assert (world.shares, world.platform.settings) == ({2: 100}, {})


@pytest.mark.parametrize("word", ["Creating", "Updating", "Scaling", "Deleting", "Meditating"])
def test_an_operation_of_somebody_else_is_waited_for_and_never_interleaved(world, kit, word):
    world.reach({1: 100})
    world.platform.deployments["main-00000001"].state = word
    world.platform.sent.clear()
    step = world.engine().step(world.desired({2: 100}))
    assert isinstance(step, kit.Wait)
    assert word in step.until
    assert isinstance(world.engine().step(world.desired()), kit.Wait)
    world.platform.deployments["main-00000001"].state = "Succeeded"
    assert isinstance(world.reach({2: 100}), kit.Done)


def test_a_second_deploy_while_one_runs_waits_and_ends_at_the_split_that_it_asked_for(world, kit):
    world.reach({1: 100})
    first, second = world.engine(), world.engine()
    for request in first.step(world.desired({2: 0, 1: 100})).requests:
        first.effect(request)
    wish = world.desired({3: 40, 1: 60})
    assert isinstance(second.step(wish), kit.Wait)
    assert isinstance(second.reach(wish), kit.Done)
    assert world.shares == {1: 60, 3: 40}
    assert (world.platform.wrongs, world.platform.refused) == ([], 0)


def test_a_change_that_somebody_else_made_meanwhile_is_looked_at_first(world):
    world.reach({1: 50, 2: 50})
    step = world.engine().step(world.desired({1: 90, 2: 10}))
    world.platform.endpoint.version += 1
    with pytest.raises(Conflict):
        world.platform.send(step.requests[0])


def test_a_create_whose_reply_was_lost_is_found(world, kit):
    world.reach({1: 100})
    step = world.engine().step(world.desired({2: 0, 1: 100}))
    deploy = step.requests[-1]
    for request in step.requests:
        world.platform.send(request)
    world.platform.advance(kit.DEPLOY_SECONDS)
    assert world.engine().look_up(deploy)["name"] == "main-00000002"


def test_the_end_of_an_endpoint_is_a_tag_that_moves_and_goes(world, kit):
    end = kit.START + timedelta(hours=8)
    world.reach({1: 100}, expires=end)
    assert world.look().expires == end
    world.reach({1: 100}, expires=end + timedelta(hours=1))
    assert world.look().expires == end + timedelta(hours=1)
    world.reach({1: 100})
    assert world.look().expires is None
    assert world.platform.endpoint.body["tags"]["CostCentre"] == "42"
    assert world.shares == {1: 100}


def test_a_deployment_of_which_nothing_is_recorded_is_kept_and_gone_back_to(world):
    world.reach({1: 100})
    unknown = world.deployment(1, variant="main-00000001", artefact=Artefact(""), native_model="", server={})
    newcomer = world.deployment(2, 0)
    world.engine().reach(world.desired(deployments=(newcomer, unknown)))
    assert world.shares == {1: 100, 2: 0}
    world.engine().reach(world.desired(deployments=(unknown,)))
    assert (world.shares, world.left_over) == ({1: 100}, [])


def test_a_deployment_that_is_none_of_the_kit_s_is_told_by_its_own_name(world):
    world.reach({1: 100})
    world.platform.deployments["main-00000001"].body["tags"] = {"team": "theirs", "mlinfra_serves": "nothing"}
    (deployment,) = world.look().deployments
    assert (deployment.name, deployment.model, deployment.tags) == ("main-00000001", "", {"team": "theirs"})


def test_a_stack_s_endpoint_is_known_by_its_tag(world):
    world.reach({1: 100})
    world.platform.endpoint.body["tags"] |= {"mlinfra_owner": "stack"}
    assert world.look().owned_by_stack


def test_a_stack_s_shell_is_filled_and_emptied_and_nothing_else(world, kit):
    world.shell()
    before = {**world.platform.endpoint.body}
    assert isinstance(world.reach({1: 100}, expires=kit.START), kit.Done)
    assert world.platform.sent == [RUNS_IN, DEPLOYMENT, ENDPOINT]
    assert (world.shares, world.look().name) == ({1: 100}, "credit-risk")
    assert world.platform.endpoint.body["tags"] == before["tags"]
    assert isinstance(world.reach(), kit.Done)
    body = world.platform.endpoint.body
    assert (body["properties"].pop("traffic"), body["properties"].pop("mirrorTraffic")) == ({}, {})
    assert (body, world.platform.deployments) == (before, {})


def test_what_a_stack_leaves_out_when_it_runs_again_changes_no_traffic(world, kit):
    """Pulumi's provider writes the whole endpoint, with the traffic that it is told to ignore as it read it."""
    world.shell()
    world.reach({1: 100})
    before = world.platform.endpoint.body["properties"]["traffic"]
    world.platform.endpoint.body["tags"]["Stack"] = "azure-dev-again"
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert world.platform.endpoint.body["properties"]["traffic"] == before


def test_copies_of_requests_go_to_a_shadow_and_stop(world, kit):
    world.reach({1: 100})
    assert isinstance(world.reach({1: 100, 2: 0}, shadow=("main-00000002", 20)), kit.Done)
    properties = world.platform.endpoint.body["properties"]
    assert (properties["traffic"], properties["mirrorTraffic"]) == ({"main-00000001": 100}, {"main-00000002": 20})
    world.platform.sent.clear()
    assert isinstance(world.reach({1: 100, 2: 0}, shadow=("main-00000002", 20)), kit.Done)
    assert world.platform.sent == []
    assert isinstance(world.reach({1: 100}), kit.Done)
    assert world.platform.endpoint.body["properties"]["mirrorTraffic"] == {}
    assert (world.shares, world.platform.wrongs) == ({1: 100}, [])


def test_no_more_deployments_than_the_service_holds_are_asked_for(world, kit):
    full = dict.fromkeys(range(1, 21), 5)
    assert isinstance(world.engine().reach(world.desired(full), rounds=3_000), kit.Done)
    failed = world.reach({**full, 20: 0, 21: 5})
    assert isinstance(failed, kit.Failed)
    assert "20" in failed.reason


def test_a_deployment_has_as_many_instances_as_it_should(world, kit):
    world.reach({1: 100})
    more = (replace(world.deployment(1), replicas=3),)
    world.platform.sent.clear()
    assert isinstance(world.engine().reach(world.desired(deployments=more)), kit.Done)
    assert world.platform.sent == ["OnlineDeployments_Update"]
    assert world.look().deployments[0].replicas == 3
