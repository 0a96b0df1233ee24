"""A run that is killed, cut off or throttled anywhere is gone on with by the next, and ends where it should."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FAULTS = ("killed before", "killed after", "lost", "throttled")
ROLLOUT = ({1: 100}, {2: 0, 1: 100}, {2: 10, 1: 90}, {2: 100, 1: 0}, {2: 100})
WAY_BACK = ({1: 100}, {2: 0, 1: 100}, {2: 10, 1: 90}, {1: 100, 2: 0}, {1: 100})
VARIANTS = ({1: 100}, {2: 60, 3: 40}, {3: 100}, {1: 50, 3: 50})
GUARDED = ({1: 100}, "guard 2", {2: 100}, {3: 0, 2: 100}, {3: 100})


def carry(world, kit, wishes, faults, **spec):
    """All wishes one after the other, each by an engine that meets the faults."""
    engine = world.engine(faults)
    for wish in wishes:
        rules = (kit.Rule("error_rate", 0.01), kit.Rule("p99", 0.25))
        guard = kit.Guard((10, 100), 60.0, ("errors-high",), rules, enough=50) if isinstance(wish, str) else None
        shares = {2: 100} if isinstance(wish, str) else wish
        assert isinstance(engine.reach(world.desired(shares, guard=guard, **spec)), kit.Done), wish
        assert world.shares == shares
    return engine


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wishes", [ROLLOUT, WAY_BACK, VARIANTS, GUARDED, ({1: 100}, {})])
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
    largest=st.sampled_from([1, 3]),
)
def test_any_faults_on_any_way(new_world, kit, wishes, faults, largest):
    world = new_world()
    carry(world, kit, wishes, faults, scale={"min": 1, "max": largest})
    assert (world.platform.wrongs, world.left_over) == ([], [])


def test_unchanged_content_is_never_made_twice(world, kit):
    carry(world, kit, ROLLOUT, dict.fromkeys(range(1, 40, 3), "killed after"))
    assert len(world.platform.made) == len(set(world.platform.made))
