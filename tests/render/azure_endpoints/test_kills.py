"""A run that is killed, cut off or throttled anywhere is gone on with by the next, and ends where it should."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FAULTS = ("killed before", "killed after", "lost", "throttled")
ROLLOUT = ({1: 100}, {2: 0, 1: 100}, {2: 10, 1: 90}, {2: 100, 1: 0}, {2: 100})
WAY_BACK = ({1: 100}, {2: 0, 1: 100}, {2: 10, 1: 90}, {1: 100, 2: 0}, {1: 100})
VARIANTS = ({1: 100}, {2: 60, 3: 40}, {3: 100}, {1: 50, 3: 50})


def carry(world, kit, wishes, faults, **spec):
    """All wishes one after the other, each by an engine that meets the faults."""
    engine = world.engine(faults)
    for wish in wishes:
        assert isinstance(engine.reach(world.desired(wish, **spec)), kit.Done), wish
        assert world.shares == wish
    return engine


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wishes", [ROLLOUT, WAY_BACK, VARIANTS, ({1: 100}, {})])
def test_any_single_fault(new_world, kit, wishes, fault):
    scale = {"min": 1, "max": 4}
    calls = carry(new_world(), kit, wishes, {}, scale=scale).count
    for number in range(1, calls + 1):
        world = new_world()
        carry(world, kit, wishes, {number: fault}, scale=scale)
        assert (world.platform.wrongs, world.left_over) == ([], []), number


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wishes=st.lists(
        st.sampled_from([{1: 100}, {2: 100}, {1: 90, 2: 10}, {2: 0, 1: 100}, {1: 30, 2: 30, 3: 40}, {}]),
        min_size=1,
        max_size=5,
    ),
    faults=st.dictionaries(st.integers(1, 40), st.sampled_from(FAULTS), max_size=12),
    most_and_lag=st.tuples(st.sampled_from([1, 3]), st.sampled_from([0.0, 50.0])),
)
def test_any_faults_on_any_way(new_world, kit, wishes, faults, most_and_lag):
    """Also where traffic shows half a minute after the operation that changed it."""
    most, lag = most_and_lag
    world = new_world()
    world.platform.lag = lag
    carry(world, kit, wishes, faults, scale={"min": 1, "max": most})
    assert (world.platform.wrongs, world.left_over) == ([], [])


def test_a_deployment_under_way_is_waited_for_by_whoever_comes_next(world, kit):
    world.reach({1: 100})
    first, wish = world.engine(), world.desired({2: 0, 1: 100})
    for request in first.step(wish).requests:
        first.effect(request)
    world.platform.sent.clear()
    assert isinstance(world.engine().step(wish), kit.Wait)
    assert isinstance(world.engine().reach(wish), kit.Done)
    assert world.platform.sent == []
