"""Azure Monitor changes the number of instances: a setting for each deployment, and no number of the kit's own."""

from dataclasses import replace

import pytest

from mlinfra.errors import SpecError

SCALED = {"scale": {"min": 1, "max": 4, "per_replica": {"requests_per_minute": 600}}}


def settings(world):
    return {
        each["properties"]["targetResourceUri"].rpartition("/")[2]: each for each in world.platform.settings.values()
    }


def rules(world, deployment="main-00000001"):
    profile = settings(world)[deployment]["properties"]["profiles"][0]
    return {each["scaleAction"]["direction"]: each["metricTrigger"] for each in profile["rules"]}


def test_replicas_follow_requests_between_their_bounds(world, kit):
    world.reach({1: 100}, **SCALED)
    setting = settings(world)["main-00000001"]
    (profile,) = setting["properties"]["profiles"]
    assert profile["capacity"] == {"minimum": "1", "maximum": "4", "default": "1"}
    grows, shrinks = rules(world)["Increase"], rules(world)["Decrease"]
    assert (grows["metricName"], grows["operator"], grows["threshold"]) == ("RequestsPerMinute", "GreaterThan", 600)
    assert (shrinks["operator"], shrinks["threshold"]) == ("LessThan", 300)
    assert grows["metricResourceUri"] == f"{kit.WORKSPACE}/onlineEndpoints/{world.name}"
    assert grows["dividePerInstance"] is True
    chosen = {each["DimensionName"]: each["Values"] for each in grows["dimensions"]}
    assert chosen == {"deployment": ["main-00000001"], "statusCodeClass": ["2xx"]}


def test_without_a_load_that_a_replica_bears_the_processors_decide(world, kit):
    world.reach({1: 100}, scale={"min": 1, "max": 4})
    told = rules(world)
    assert {name: (each["metricName"], each["threshold"]) for name, each in told.items()} == {
        "Increase": ("CpuUtilizationPercentage", 70),
        "Decrease": ("CpuUtilizationPercentage", 30),
    }
    own = f"{kit.WORKSPACE}/onlineEndpoints/{world.name}/deployments/main-00000001"
    assert told["Increase"]["metricResourceUri"] == own


def test_other_bounds_are_set_without_a_new_deployment(world):
    world.reach({1: 100}, **SCALED)
    world.platform.sent.clear()
    world.reach({1: 100}, scale={"min": 2, "max": 6, "per_replica": {"requests_per_minute": 90}})
    assert world.platform.sent == ["OnlineDeployments_Update", "AutoscaleSettings_CreateOrUpdate"]
    assert rules(world)["Increase"]["threshold"] == 90
    assert world.look().deployments[0].replicas == 2


def test_what_scales_is_left_at_the_number_that_the_load_gave_it(world):
    world.reach({1: 100}, **SCALED)
    world.platform.deployments["main-00000001"].body["sku"]["capacity"] = 3
    world.platform.sent.clear()
    world.reach({1: 100}, **SCALED)
    assert world.platform.sent == []


def test_a_setting_that_somebody_switched_off_is_switched_on_again(world):
    world.reach({1: 100}, **SCALED)
    settings(world)["main-00000001"]["properties"]["enabled"] = False
    world.platform.sent.clear()
    world.reach({1: 100}, **SCALED)
    assert world.platform.sent == ["AutoscaleSettings_CreateOrUpdate"]


def test_a_number_that_does_not_move_needs_no_setting(world):
    world.reach({1: 100}, **SCALED)
    world.reach({1: 100}, scale={"min": 2, "max": 2})
    assert world.platform.settings == {}
    world.engine().reach(
        world.desired(deployments=(replace(world.deployment(1), replicas=2),), scale={"min": 2, "max": 2})
    )
    assert world.look().deployments[0].replicas == 2


def test_a_newcomer_is_scaled_before_it_has_traffic_and_the_setting_goes_with_its_deployment(world):
    world.reach({1: 100}, **SCALED)
    world.reach({2: 0, 1: 100}, **SCALED)
    assert settings(world).keys() == {"main-00000001", "main-00000002"}
    world.reach({2: 100}, **SCALED)
    assert settings(world).keys() == {"main-00000002"}
    assert world.platform.wrongs == []


def test_a_setting_of_somebody_else_is_not_touched(world):
    world.reach({1: 100})
    target = f"/x/onlineEndpoints/{world.name}/deployments/main-00000001"
    world.platform.settings["theirs"] = {"name": "theirs", "properties": {"targetResourceUri": target}}
    world.platform.sent.clear()
    world.reach({1: 100})
    assert world.platform.sent == []


def test_an_override_reaches_the_setting_and_is_what_holds(world):
    notify = [{"operation": "Scale", "email": {"customEmails": ["ops@example.org"]}}]
    with pytest.raises(SpecError, match="targetResourceUri"):
        world.reach({1: 100}, **SCALED, overrides=patch({"targetResourceUri": "/elsewhere"}))
    with pytest.raises(SpecError, match="profiles"):
        world.reach({1: 100}, **SCALED, overrides=patch({"profile": notify}))
    world.reach({1: 100}, **SCALED, overrides=patch({"enabled": False}))
    world.platform.sent.clear()
    world.reach({1: 100}, **SCALED, overrides=patch({"enabled": False}))
    assert world.platform.sent == []


def patch(properties):
    return {"azure": {"AutoscaleSettings_CreateOrUpdate": {"properties": properties}}}
