import itertools
import re
from types import SimpleNamespace

import pytest

from mlinfra.contract.capabilities import NATIVE, Capability, absent
from mlinfra.contract.states import VersionState
from mlinfra.engine import deploy as deploy_module
from mlinfra.engine.endpoint_changes import traffic
from mlinfra.engine.endpoint_work import Change
from mlinfra.errors import (
    CapabilityError,
    Conflict,
    Denied,
    DeploymentFailed,
    NotFound,
    RolledBack,
    Unavailable,
    WrongAccount,
)

CANARY = {"steps": ["10%", "50%", "100%"], "bake": "3m", "min_requests": 100}


def test_the_first_deploy_makes_the_endpoint_and_probes_it(world):
    outcome = world.deploy("1")
    assert outcome.change is Change.CREATED
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])
    assert "Invoke" in world.faults.calls
    assert any("answers the model's 2 example rows, to the last bit" in line for line in world.said)


def test_an_unchanged_deploy_says_so_and_sends_nothing(world):
    world.deploy("1")
    sent = len(world.platform.sent)
    outcome = world.deploy("1")
    assert outcome.change is Change.UNCHANGED
    assert len(world.platform.sent) == sent
    assert world.said[-1] == "credit-risk serves credit-risk:1 already; nothing to do"


def test_a_canary_goes_step_by_step_and_the_old_one_leaves_last(world):
    world.deploy("1")
    outcome = world.deploy("2", rollout=CANARY)
    assert outcome.change is Change.ROLLED_OUT
    assert [each.shares for each in world.endpoint.history] == [
        {name: share for name, share in shares.items() if share}
        for shares in (
            {outcome.rollout.old.deployments[0].name: 100},
            {outcome.rollout.old.deployments[0].name: 90, outcome.rollout.newcomers[0]: 10},
            {outcome.rollout.old.deployments[0].name: 50, outcome.rollout.newcomers[0]: 50},
            {outcome.rollout.newcomers[0]: 100},
        )
    ]
    assert (world.shares, world.versions, world.platform.wrongs) == ({"2": 100}, ["2"], [])
    steps = [each.start for each in world.endpoint.history]
    assert all(later - earlier >= 180 for earlier, later in itertools.pairwise(steps[1:]))
    assert [entry for entry in world.audit() if entry == "traffic"] == ["traffic"] * 3


def test_without_a_rollout_in_the_spec_all_traffic_moves_when_the_new_one_is_ready_and_probed(world):
    world.deploy("1")
    world.deploy("2")
    assert [sorted(each.shares.values()) for each in world.endpoint.history] == [[100], [100]]
    assert world.platform.wrongs == []


def test_a_deployment_that_never_becomes_ready_fails_and_the_old_one_keeps_everything(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(ready_after=None)
    with pytest.raises(DeploymentFailed, match=r"gave up waiting for main-\w+ to become ready.*credit-risk:1 serves"):
        world.deploy("2", rollout=CANARY)
    assert (world.shares, world.versions, world.platform.wrongs) == ({"1": 100}, ["1"], [])
    assert len(world.endpoint.history) == 1


def test_a_deployment_that_fails_is_removed_with_its_reason_and_its_last_lines_kept(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(fails_after=20.0)
    with pytest.raises(DeploymentFailed, match="exit code 1"):
        world.deploy("2", rollout=CANARY)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])
    kept = [entry["figures"] for entry in world.record["rollout"]["decisions"] if entry["verb"] == "sent back"]
    assert kept[0]["log"][-1].endswith("line 4")


def test_after_a_failure_the_same_version_can_be_deployed_again(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(fails_after=20.0)
    with pytest.raises(DeploymentFailed):
        world.deploy("2")
    world.platform.behaviours["2"] = kit.Behaviour()
    world.deploy("2")
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])


def test_a_first_deployment_that_fails_leaves_nothing(world, kit):
    world.platform.behaviours["1"] = kit.Behaviour(fails_after=20.0)
    with pytest.raises(DeploymentFailed, match="nothing of it is left"):
        world.deploy("1")
    world.platform._sweep()
    assert world.endpoint is None


@pytest.mark.parametrize(
    "behaviour", [{"status": 500}, {"status": 404}, {"predictions": [1.0, 2.0]}, {"predictions": []}]
)
def test_a_deployment_that_fails_its_probe_gets_no_user_traffic(world, kit, behaviour):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(**behaviour)
    with pytest.raises(DeploymentFailed, match="stored example"):
        world.deploy("2", rollout=CANARY)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])
    assert len(world.endpoint.history) == 1


def test_last_digits_may_differ_in_a_probe(world, kit):
    world.deploy("1")
    stored = kit.served("credit-risk:2").manifest["example"]["predictions"]
    world.platform.behaviours["2"] = kit.Behaviour(predictions=[value * (1 + 1e-5) for value in stored])
    assert world.deploy("2").change is Change.ROLLED_OUT


def test_a_platform_that_cannot_ask_one_deployment_says_why_nothing_was_probed(world):
    world.capabilities[Capability.ENDPOINT_TARGET] = absent("its API names no deployment")
    world.deploy("1")
    assert any("example rows" in line for line in world.said)  # the only one behind the endpoint can be asked
    world.deploy("2")
    assert any("not probed: its API names no deployment" in line for line in world.said)


def test_a_change_of_resources_is_a_new_deployment_of_the_same_version(world):
    world.deploy("1")
    world.deploy("1", resources={"cpu": 4})
    assert len(world.platform.created) == 2
    assert world.versions == ["1"]


def test_a_change_of_scale_is_none(world):
    world.deploy("1")
    outcome = world.deploy("1", scale={"min": 1, "max": 4})
    assert outcome.change is Change.UNCHANGED
    assert len(world.platform.created) == 1


def test_a_new_deployment_starts_with_as_many_replicas_as_the_load_needs_now(world):
    world.deploy("1", scale={"min": 1, "max": 6})
    next(iter(world.endpoint.deployments.values())).replicas = 5
    world.deploy("2", scale={"min": 1, "max": 4})
    assert [each.replicas for each in world.endpoint.deployments.values()] == [4]


def test_standing_variants_are_replaced_each_in_its_share(world):
    variants = {
        "main": {"model": "credit-risk:1", "traffic": "70%"},
        "rival": {"model": "credit-risk:7", "traffic": "30%"},
    }
    world.deploy(deployments=variants)
    assert world.shares == {"1": 70, "7": 30}
    variants["main"] = {"model": "credit-risk:2", "traffic": "70%"}
    world.deploy(deployments=variants, rollout={"steps": ["10%", "100%"], "bake": "3m", "min_requests": 20})
    shares = [sorted(each.shares.values()) for each in world.endpoint.history]
    assert shares == [[30, 70], [7, 30, 63], [30, 70]]
    assert (world.shares, world.versions, world.platform.wrongs) == ({"2": 70, "7": 30}, ["2", "7"], [])


def test_new_shares_alone_are_set_at_once(world):
    def variants(main, rival):
        return {
            "main": {"model": "credit-risk:1", "traffic": main},
            "rival": {"model": "credit-risk:7", "traffic": rival},
        }

    world.deploy(deployments=variants("70%", "30%"))
    outcome = world.deploy(deployments=variants("40%", "60%"))
    assert (outcome.change, world.shares) == (Change.ADJUSTED, {"1": 40, "7": 60})
    assert len(world.platform.created) == 2


def test_traffic_counts_as_moved_only_when_the_platform_shows_it(world):
    world.platform.lag = 30.0
    world.deploy("1")
    outcome = world.deploy("2", rollout=CANARY)
    assert outcome.change is Change.ROLLED_OUT
    assert (world.shares, world.versions, world.platform.wrongs) == ({"2": 100}, ["2"], [])
    reached = [entry for entry in world.record["rollout"]["decisions"] if entry["verb"] == "reached"]
    assert len(reached) == 3


def test_a_change_that_does_not_show_yet_is_not_sent_again_for_a_new_mark_of_the_state_alone(world):
    world.deploy("1")
    world.platform.lag = 14.0
    world.platform.sent.clear()
    world.deploy("2", rollout=CANARY)
    assert world.platform.sent.count("SetTraffic") == 3


def test_a_stack_s_own_endpoint_is_left_alone(world):
    world.deploy("1")
    world.endpoint.owned_by_stack = True
    sent = len(world.platform.sent)
    with pytest.raises(Denied, match="stack owns"):
        world.deploy("2")
    assert len(world.platform.sent) == sent


def test_a_wrong_account_sends_nothing(world):
    world.environment = world.environment.model_copy(update={"account": "elsewhere"})
    with pytest.raises(WrongAccount):
        world.deploy("1")
    assert (world.platform.sent, world.objects) == ([], {})


def test_what_the_platform_cannot_do_is_said_before_anything_is_asked(world):
    world.capabilities[Capability.ENDPOINT_CAPTURE] = absent("it records nothing")
    with pytest.raises(CapabilityError, match="it records nothing"):
        world.deploy("1", capture={"sample": "10%"})
    assert world.faults.calls == []


@pytest.mark.parametrize(
    "fields",
    [
        {"rollout": {"steps": ["10%", "100%"]}},
        {
            "deployments": {
                "main": {"model": "credit-risk:1", "traffic": "50%"},
                "rival": {"model": "credit-risk:7", "traffic": "50%"},
            }
        },
    ],
)
def test_shares_need_a_platform_that_splits_traffic(world, fields):
    world.capabilities[Capability.ENDPOINT_TRAFFIC] = absent("it serves one deployment")
    with pytest.raises(CapabilityError, match="it serves one deployment"):
        world.deploy("1", **fields)
    world.deploy("1")


def test_a_rollback_by_figures_does_not_bring_an_old_end_back(world, kit):
    world.deploy("1")
    world.clock.time += 7.9 * 3600
    world.platform.behaviours["2"] = kit.Behaviour(error_share=1.0)
    with pytest.raises(RolledBack):
        world.deploy("2", rollout={**CANARY, "bake": "1h"})
    assert world.endpoint.expires > "2030-01-01T15:00"


def test_two_deploys_at_once_exclude_each_other(world):
    world.deploy("1")
    first, second = world.session("ada"), world.session("grace")
    seen = []

    def while_the_first_watches(operation):
        if operation == "Health" and not seen:
            seen.append(operation)
            with pytest.raises(Conflict, match=r"ada on .* is at work on this"):
                world.deploy("3", session=second)

    first.client._faults.on_call = while_the_first_watches
    world.deploy("2", session=first, rollout=CANARY)
    assert seen
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])
    assert len(world.platform.created) == 2


def test_a_lost_lease_stops_the_watch_at_once(world):
    world.deploy("1")
    session = world.session()

    def somebody_takes_the_lease(operation):
        if operation == "Health":
            content, _ = world.objects["kit/leases/endpoint-credit-risk.json"]
            stolen = re.sub(rb'"owner": "\w+"', b'"owner": "grace"', content)
            world.objects["kit/leases/endpoint-credit-risk.json"] = (stolen, "stolen")

    session.client._faults.on_call = somebody_takes_the_lease
    with pytest.raises(Conflict, match="lease was lost"):
        world.deploy("2", session=session, rollout=CANARY)
    assert world.shares == {"1": 90, "2": 10}
    assert world.record["rollout"]["phase"] == "baking"


def test_another_release_is_refused_while_a_rollout_stands(world):
    world.deploy("1")
    with pytest.raises(Unavailable, match="time for watching is over"):
        world.deploy("2", rollout=CANARY, time_limit=60.0)
    with pytest.raises(Conflict, match=r"a rollout stands: credit-risk:1 -> credit-risk:2, baking at 10 %"):
        world.deploy("3")
    assert world.shares == {"1": 90, "2": 10}


def test_the_same_deploy_goes_on_with_a_rollout_that_stands(world):
    world.deploy("1")
    with pytest.raises(Unavailable):
        world.deploy("2", rollout=CANARY, time_limit=60.0)
    outcome = world.deploy("2", rollout=CANARY)
    assert outcome.change is Change.ROLLED_OUT
    assert len(world.platform.created) == 2
    assert world.shares == {"2": 100}


def test_a_first_release_that_never_served_makes_room_for_another(world, kit):
    session = world.session()
    session.client._faults.kill_at = 40
    world.platform.behaviours["1"] = kit.Behaviour(ready_after=None)
    with pytest.raises(kit.Killed):
        world.deploy("1", session=session)
    world.bury()
    world.deploy("2")
    assert (world.shares, world.versions, world.platform.wrongs) == ({"2": 100}, ["2"], [])


def test_a_rollout_whose_endpoint_was_removed_is_dropped_and_the_deploy_begins_anew(world):
    world.deploy("1")
    with pytest.raises(Unavailable):
        world.deploy("2", rollout=CANARY, time_limit=60.0)
    world.platform.endpoints.clear()
    assert world.deploy("3").change is Change.CREATED
    assert (world.shares, world.versions) == ({"3": 100}, ["3"])


def test_traffic_that_somebody_else_changed_is_not_fought_over(world):
    world.deploy("1")
    session = world.session()

    def an_operator_takes_it_back(operation):
        endpoint = world.endpoint
        if operation == "Health" and len(endpoint.history) == 2:
            name = next(iter(endpoint.history[0].shares))
            world.platform.set_traffic(endpoint.physical_name, {name: 100})

    session.client._faults.on_call = an_operator_takes_it_back
    with pytest.raises(Conflict, match="somebody else changed the traffic"):
        world.deploy("2", session=session, rollout=CANARY)
    assert world.shares == {"1": 100}


def test_a_dev_endpoint_ends_by_itself_and_an_unchanged_deploy_extends_it_when_half_is_over(world):
    world.deploy("1")
    first = world.endpoint.expires
    assert first == "2030-01-01T08:00:00+00:00"
    world.clock.time += 3600
    assert world.deploy("1").change is Change.UNCHANGED
    assert world.endpoint.expires == first
    world.clock.time += 4 * 3600
    assert world.deploy("1").change is Change.ADJUSTED
    assert world.endpoint.expires > first


def test_an_endpoint_whose_time_has_ended_is_made_anew(world):
    world.deploy("1")
    world.clock.time += 9 * 3600
    with pytest.raises(NotFound, match="time to live ended at 2030-01-01 08:00 UTC"):
        traffic(world.session(), "credit-risk", {"main": 100})
    outcome = world.deploy("2")
    assert outcome.change is Change.CREATED
    assert (world.shares, world.versions, world.platform.wrongs) == ({"2": 100}, ["2"], [])


def test_a_rollout_of_an_endpoint_whose_time_has_ended_is_dropped(world):
    world.deploy("1")
    with pytest.raises(Unavailable):
        world.deploy("2", rollout=CANARY, time_limit=60.0)
    world.clock.time += 9 * 3600
    assert world.deploy("2", rollout=CANARY).change is Change.CREATED
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])


@pytest.mark.parametrize(
    ("fields", "lifetime", "expires"),
    [
        ({"ttl": "never"}, 60, None),
        ({"ttl": "1h"}, 60, "2030-01-01T01:00:00+00:00"),
        ({}, 7200, "2030-01-01T02:00:00+00:00"),
    ],
)
def test_the_spec_says_when_an_endpoint_ends_then_the_environment(world, fields, lifetime, expires):
    lifetimes = world.environment.lifetimes.model_copy(update={"endpoint": lifetime})
    world.environment = world.environment.model_copy(update={"lifetimes": lifetimes})
    world.deploy("1", **fields)
    assert world.endpoint.expires == expires


def test_an_endpoint_in_prod_stays(new_world):
    world = new_world(stage="prod")
    world.deploy("1")
    assert world.endpoint.expires is None


def test_overlays_hold_for_their_environment(world):
    world.deploy("1", environments={"fake-*": {"model": "credit-risk:5"}})
    assert world.shares == {"5": 100}


def test_versions_are_resolved_and_must_be_ready_and_approved(world, kit, monkeypatch):
    monkeypatch.undo()
    version = kit.served("credit-risk:1").version
    asked = []
    monkeypatch.setattr(deploy_module, "resolve", lambda _, reference: asked.append(reference) or version)
    package = SimpleNamespace(manifest=SimpleNamespace(as_document=lambda: {"name": "x"}))
    monkeypatch.setattr(deploy_module, "package_of", lambda *_: package)
    monkeypatch.setattr(deploy_module, "require_approved", lambda _, version: asked.append(version.name))
    found = deploy_module.served(world.session(), world.spec("1"))
    assert (found["main"].version, found["main"].manifest) == (version, {"name": "x"})
    assert asked == ["credit-risk:1", "credit-risk:1"]

    unready = kit.replace(version, state=VersionState.CREATING)
    monkeypatch.setattr(deploy_module, "resolve", lambda *_: unready)
    with pytest.raises(Conflict, match="credit-risk:1 is creating"):
        deploy_module.served(world.session(), world.spec("1"))

    def refuse(session, version):
        raise Denied("approved by nobody")

    monkeypatch.setattr(deploy_module, "resolve", lambda *_: version)
    monkeypatch.setattr(deploy_module, "require_approved", refuse)
    with pytest.raises(Denied):
        world.deploy("1")
    assert world.platform.sent == []


def test_an_interrupt_says_how_to_go_on_and_leaves_the_canary_at_its_step(world):
    world.deploy("1")
    session = world.session()

    def control_c(operation):
        if operation == "Health":
            raise KeyboardInterrupt

    session.client._faults.on_call = control_c
    with pytest.raises(KeyboardInterrupt):
        world.deploy("2", session=session, rollout=CANARY)
    assert "interrupted: credit-risk:1 -> credit-risk:2, baking at 10 %" in world.said[-1]
    assert "rollout resume credit-risk" in world.said[-1]
    assert world.shares == {"1": 90, "2": 10}
    assert world.deploy("2", rollout=CANARY).change is Change.ROLLED_OUT


TWO = {"min": 2, "max": 2}
GUARDABLE = {"steps": ["10%", "100%"], "bake": "5m", "min_requests": 0, "on_no_data": "advance"}


@pytest.fixture
def guarding(new_world):
    """A production stage on a platform with a guard of its own."""
    world = new_world(stage="prod")
    world.capabilities[Capability.ROLLOUT_NATIVE] = NATIVE
    return world


def test_a_platform_s_own_guard_makes_the_change_where_it_can_express_it(guarding):
    guarding.deploy("1")
    outcome = guarding.deploy("2", rollout=GUARDABLE, scale=TWO)
    assert outcome.watched_by == "platform alarms"
    assert "GuardedUpdate" in guarding.platform.sent
    assert (guarding.shares, guarding.versions) == ({"2": 100}, ["2"])


def test_a_platform_s_own_guard_is_told_steps_bake_and_alarms(guarding):
    guarding.deploy("1")
    guarding.deploy("2", rollout=GUARDABLE, scale=TWO)
    (guard,) = guarding.renderer.guards
    assert (guard.steps, guard.bake, guard.alarms) == ((10, 100), 300.0, ("errors-high", "somebody-called"))


def test_the_process_and_the_platform_never_watch_both(guarding):
    guarding.deploy("1")
    guarding.deploy("2", rollout=GUARDABLE, scale=TWO)
    assert "SetTraffic" not in guarding.platform.sent[guarding.platform.sent.index("GuardedUpdate") :]
    guarding.deploy("3", rollout={**GUARDABLE, "watch": "process"}, scale=TWO)
    assert len(guarding.renderer.guards) == 1


def test_the_first_release_needs_no_guard(guarding):
    guarding.deploy("1", rollout=GUARDABLE, scale=TWO)
    assert guarding.renderer.guards == []


def test_a_platform_s_own_guard_that_goes_back_is_a_rollback(guarding):
    guarding.deploy("1")
    guarding.platform.guard_fails = True
    with pytest.raises(RolledBack, match="alarm errors-high went off"):
        guarding.deploy("2", rollout=GUARDABLE, scale=TWO)
    assert (guarding.shares, guarding.versions) == ({"1": 100}, ["1"])


VARIANTS = {
    "main": {"model": "credit-risk:1", "traffic": "50%"},
    "rival": {"model": "credit-risk:2", "traffic": "50%"},
}


def test_where_several_deployments_serve_the_process_watches_and_says_why(guarding):
    guarding.deploy(deployments=VARIANTS)
    outcome = guarding.deploy("3", rollout=GUARDABLE, scale=TWO)
    assert outcome.watched_by.startswith("this process (2 deployments serve now")
    assert guarding.renderer.guards == []


def test_who_insists_on_the_platform_is_refused_where_several_deployments_serve(guarding):
    guarding.deploy(deployments=VARIANTS)
    with pytest.raises(CapabilityError, match="2 deployments serve now"):
        guarding.deploy("3", rollout={**GUARDABLE, "watch": "platform"}, scale=TWO)
    assert guarding.shares == {"1": 50, "2": 50}
