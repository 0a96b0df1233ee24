"""Whatever happens on the way, in whatever order: the end is one of those that were asked for, and nobody was hurt."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlinfra.engine import rollout_run
from mlinfra.errors import Conflict, DeploymentFailed, RolledBack, TemporaryError

MOST_CALLS = 250
FAULTS = st.dictionaries(st.integers(1, MOST_CALLS), st.sampled_from(["lost", "refused"]), max_size=6)
RUN = st.tuples(FAULTS, st.none() | st.integers(1, MOST_CALLS), st.booleans())
ENDS = {
    "good": (None, {"2": 100}),
    "errors": (RolledBack, {"1": 100}),
    "probe": (DeploymentFailed, {"1": 100}),
    "fails": (DeploymentFailed, {"1": 100}),
    "slow start": (None, {"2": 100}),
}


def behaviour(kit, name):
    return {
        "good": kit.Behaviour(),
        "errors": kit.Behaviour(error_share=0.3),
        "probe": kit.Behaviour(status=500),
        "fails": kit.Behaviour(fails_after=15.0),
        "slow start": kit.Behaviour(ready_after=400.0),
    }[name]


def attempt(world, kit, faults, kill_at, *, after, steps):
    """One process's try; True when it came to an end that the command may have."""
    session = world.session()
    session.client._faults.script = dict(faults)
    session.client._faults.kill_at, session.client._faults.after = kill_at, after
    try:
        world.deploy("2", session=session, rollout={"steps": steps, "bake": "1m", "min_requests": 10}, ttl="never")
    except (kit.Killed, TemporaryError):
        return "unfinished"
    except (RolledBack, DeploymentFailed) as exc:
        return type(exc)
    except Conflict as exc:
        assert "is at work on this" in exc.what  # noqa: PT017  a lease whose taking was not answered
        return "unfinished"
    return None


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(RUN, max_size=4),
    fate=st.sampled_from(sorted(ENDS)),
    lag=st.sampled_from([0.0, 0.0, 25.0]),
    gap=st.sampled_from([1.0, 300.0, 7200.0]),
    steps=st.sampled_from([["100%"], ["10%", "100%"], ["1%", "50%", "100%"]]),
)
def test_any_schedule_of_faults_ends_where_an_undisturbed_run_does(  # noqa: PLR0917  what hypothesis draws
    new_world, kit, monkeypatch, runs, fate, lag, gap, steps
):
    monkeypatch.setattr(rollout_run, "READY_WITHIN", 600.0)
    world = new_world()
    world.platform.rate = 40.0
    world.deploy("1", ttl="never")
    world.platform.lag = lag
    world.platform.behaviours["2"] = behaviour(kit, fate)
    for faults, kill_at, after in runs:
        attempt(world, kit, faults, kill_at, after=after, steps=steps)
        assert world.platform.wrongs == []
        world.bury()
        world.clock.time += gap
    end, shares = ENDS[fate]
    assert attempt(world, kit, {}, None, after=False, steps=steps) is end
    world.platform._sweep()
    assert (world.shares, world.platform.wrongs) == (shares, [])
    assert world.versions == list(shares)
    made_again = len(world.platform.created) - 2
    assert made_again <= (len(runs) if end else 0)  # a version that failed to the end may be tried once more
    for each, following in itertools.pairwise(world.endpoint.history):
        assert sum(each.shares.values()) == 100
        assert each.start <= following.start
