"""Autoscaling: targets follow variants, and nobody is a target before it is in service or after it has gone."""


def test_a_variant_in_service_becomes_a_target_with_a_policy(world):
    world.reach({1: 100}, scale={"min": 1, "max": 4, "per_replica": {"requests_per_minute": 600}})
    assert world.platform.targets == {"main-00000001": (1, 4)}
    assert world.platform.policies == {"main-00000001": 600.0}
    assert world.platform.wrongs == []


def test_a_newcomer_scales_before_it_gets_traffic_and_the_old_one_is_taken_away_before_it_goes(world):
    scale = {"min": 1, "max": 4}
    world.reach({1: 100}, scale=scale)
    world.platform.sent.clear()
    world.reach({2: 100}, scale=scale)
    order = [name for name in world.platform.sent if "Scal" in name or "Update" in name]
    assert order == [
        "UpdateEndpoint",
        "RegisterScalableTarget",
        "PutScalingPolicy",
        "UpdateEndpointWeightsAndCapacities",
        "DeregisterScalableTarget",
        "UpdateEndpoint",
    ]
    assert (set(world.platform.targets), world.platform.wrongs) == ({"main-00000002"}, [])


def test_other_bounds_or_another_load_are_set_at_once(world):
    world.reach({1: 100}, scale={"min": 1, "max": 4})
    world.reach({1: 100}, scale={"min": 2, "max": 6, "per_replica": {"requests_per_minute": 90}})
    assert (world.platform.targets, world.platform.policies) == ({"main-00000001": (2, 6)}, {"main-00000001": 90.0})
    assert world.look().deployments[0].replicas == 2


def test_a_fixed_number_of_replicas_takes_the_target_away(world):
    world.reach({1: 100}, scale={"min": 1, "max": 4})
    world.reach({1: 100})
    assert (world.platform.targets, world.platform.policies) == ({}, {})


def test_what_was_scaled_out_stays_so(world):
    world.reach({1: 100}, scale={"min": 1, "max": 4})
    world.platform.endpoint.counts["main-00000001"] = 3
    world.platform.sent.clear()
    world.reach({1: 100}, scale={"min": 1, "max": 4})
    assert world.platform.sent == []
