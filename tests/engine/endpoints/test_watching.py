import pytest

from mlinfra.errors import DeploymentFailed, RolledBack, Unavailable

CANARY = {"steps": ["10%", "50%", "100%"], "bake": "5m", "min_requests": 100}
PERIOD, DELAY = 60.0, 30.0


def failed_requests(world):
    """User requests that went wrong, by model version."""
    endpoint = world.endpoint
    return {name: world.platform.counts(endpoint, name, 0.0, world.clock.time)[1] for name in endpoint.deployments}


def first_period_with_enough(rate, start):
    """The end of the first metric period by which a deployment with this rate had 50 requests."""
    end = (start // PERIOD + 1) * PERIOD
    while rate * (end - start) < 50:
        end += PERIOD
    return end


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("error_share", [1.0, 0.2, 0.05])
def test_errors_send_a_canary_back_by_the_end_of_the_first_period_with_fifty_requests(world, kit, rate, error_share):
    world.platform.rate = rate
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(error_share=error_share)
    with pytest.raises(
        RolledBack, match=r"credit-risk:2 was rolled back at 10 %.*error rate is .*credit-risk:1 serves"
    ):
        world.deploy("2", rollout={**CANARY, "bake": "2h"})
    canary, back = (each.start for each in world.endpoint.history[1:3])
    assert back <= first_period_with_enough(rate / 10, canary) + DELAY + PERIOD / 4 + 1
    assert (world.shares, world.versions, world.platform.wrongs) == ({"1": 100}, ["1"], [])
    assert failed_requests(world) == {next(iter(world.endpoint.deployments)): 0}


def test_the_figures_that_led_back_are_kept(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(error_share=0.5)
    with pytest.raises(RolledBack):
        world.deploy("2", rollout=CANARY)
    rollout = world.record["rollout"]
    assert rollout["phase"] == "rolled back"
    (sent_back,) = [entry for entry in rollout["decisions"] if entry["verb"] == "sent back"]
    (figures,) = sent_back["figures"].values()
    assert (sent_back["percent"], figures["requests"] >= 50, figures["error_rate"]) == (10, True, 0.5)
    assert {"deploy", "traffic", "send back", "remove", "rolled back"} <= set(world.audit())
    assert world.record["current"]["deployments"][0]["version"] == "1"


def test_slow_answers_send_it_back_too(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(p99=0.8)
    rules = [{"metric": "p99", "above": "500ms"}]
    with pytest.raises(RolledBack, match="99th percentile of latency is 800 ms, allowed is 500 ms"):
        world.deploy("2", rollout={**CANARY, "rollback_on": rules})
    assert world.shares == {"1": 100}


def test_errors_that_begin_late_in_a_long_step_are_seen_in_the_newest_requests(world, kit):
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(error_share=1.0, errors_from=7200.0)
    rules = [{"metric": "error_rate", "above": "20%"}]
    with pytest.raises(RolledBack):
        world.deploy("2", rollout={**CANARY, "bake": "6h", "rollback_on": rules})
    canary, back = (each.start for each in world.endpoint.history[1:3])
    assert back - canary <= 7200 + 2 * PERIOD + DELAY + PERIOD / 4


def test_fewer_than_fifty_requests_send_nothing_back(world, kit):
    world.platform.rate = 0.1
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(error_share=1.0)
    with pytest.raises(Unavailable, match="time for watching is over"):
        world.deploy("2", rollout={**CANARY, "on_no_data": "hold"}, time_limit=3600)
    assert world.shares == {"1": 90, "2": 10}


@pytest.mark.parametrize("silent", [False, True])
def test_without_data_a_canary_holds_at_its_step_and_says_so(world, silent):
    world.platform.rate = 5.0 if silent else 0.0
    world.platform.metrics_silent = silent
    world.deploy("1")
    with pytest.raises(Unavailable, match="rollout resume credit-risk"):
        world.deploy("2", rollout={**CANARY, "on_no_data": "hold"}, time_limit=3600)
    assert world.shares == {"1": 90, "2": 10}
    holding = [line for line in world.said if "holding" in line]
    assert len(holding) == 1
    assert "0 of the 100 requests that a step forward asks for" in holding[0]


def test_without_data_it_advances_where_the_spec_says_so(world):
    world.platform.rate = 0.0
    world.deploy("1")
    world.deploy("2", rollout={**CANARY, "on_no_data": "advance"})
    assert (world.shares, world.versions) == ({"2": 100}, ["2"])


def test_without_data_it_goes_back_where_the_spec_says_so(world):
    world.platform.rate = 0.0
    world.deploy("1")
    with pytest.raises(RolledBack, match="0 of the 100 requests"):
        world.deploy("2", rollout={**CANARY, "on_no_data": "rollback"})
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_held_requests_that_come_later_let_it_go_on(world):
    world.platform.rate = 1.0
    world.deploy("1")
    world.deploy("2", rollout={"steps": ["10%", "100%"], "bake": "1m", "min_requests": 200})
    canary, whole = (each.start for each in world.endpoint.history[1:3])
    assert whole - canary >= 200 / 0.1
    assert world.shares == {"2": 100}


def test_a_deployment_that_dies_during_its_canary_is_sent_back_without_any_figure(world, kit):
    world.platform.rate = 0.0
    world.deploy("1")
    world.platform.behaviours["2"] = kit.Behaviour(dies_at=100.0)
    with pytest.raises(DeploymentFailed, match="exit code 1"):
        world.deploy("2", rollout=CANARY)
    assert (world.shares, world.versions) == ({"1": 100}, ["1"])


def test_metrics_that_do_not_answer_for_a_while_end_no_watch(world):
    world.deploy("1")
    session = world.session()
    begun = []

    def for_a_while(operation):
        if operation == "Health":
            begun.append(world.clock.time)
            world.platform.metrics_fail = world.clock.time - begun[0] < 200

    session.client._faults.on_call = for_a_while
    world.deploy("2", session=session, rollout=CANARY)
    assert any("no figures for now" in line for line in world.said)
    assert world.shares == {"2": 100}


def test_metrics_that_never_answer_leave_the_canary_at_its_step(world):
    world.deploy("1")
    world.platform.metrics_fail = True
    with pytest.raises(Unavailable, match="metrics do not answer"):
        world.deploy("2", rollout=CANARY)
    assert world.shares == {"1": 90, "2": 10}
    world.platform.metrics_fail = False
    world.deploy("2", rollout=CANARY)
    assert world.shares == {"2": 100}


def test_no_step_forward_is_made_while_reads_show_other_traffic(world):
    world.deploy("1")
    session = world.session()
    begun = []

    def reads_go_back_for_a_while(operation):
        if operation == "Health":
            begun.append(world.clock.time)
            world.platform.lag = 1000.0 if 280 <= world.clock.time - begun[0] < 335 else 0.0

    session.client._faults.on_call = reads_go_back_for_a_while
    world.deploy("2", session=session, rollout={**CANARY, "bake": "4m"})
    canary, half = (each.start for each in world.endpoint.history[1:3])
    assert half - canary >= 335
    assert world.shares == {"2": 100}


def test_a_bake_without_rules_asks_for_no_figures(world):
    world.deploy("1")
    world.deploy("2", rollout={"steps": ["10%", "100%"], "bake": "10m", "min_requests": 0, "rollback_on": []})
    assert "Health" not in world.faults.calls
    steps = [each.start for each in world.endpoint.history]
    assert steps[2] - steps[1] >= 600


def test_progress_is_one_line_for_each_change(world):
    world.deploy("1")
    world.said.clear()
    world.deploy("2", rollout=CANARY)
    assert len(world.said) == len(set(world.said))
    assert any(line.startswith(" 10 %  passed: ") and "requests, 0 errors" in line for line in world.said)
