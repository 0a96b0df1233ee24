"""Alarms that a guarded change makes of its rules: what they watch, when they come, and that they go."""

import pytest

from mlinfra.environment import Observability
from mlinfra.errors import SpecError

RATE = ("error_rate", 0.01)
TOPIC = "arn:aws:sns:eu-west-1:111122223333:notices"


def guard(kit, *rules, alarms=()):
    return kit.Guard((10, 100), 60.0, alarms, tuple(kit.Rule(*rule) for rule in rules), enough=50)


@pytest.fixture
def guarded(world, kit):
    """A change from version 1 to version 2, and the alarms that are there after it."""

    def change(*rules, alarms=(), **spec):
        world.reach({1: 100})
        world.platform.sent.clear()
        assert isinstance(world.reach({2: 100}, guard=guard(kit, *rules, alarms=alarms), **spec), kit.Done)
        return {name: each for name, each in world.platform.alarms.items() if name.startswith("mlinfra")}

    return change


def queries(alarm):
    return {each["Id"]: each for each in alarm["Metrics"]}


def test_an_error_rate_is_what_was_not_answered_or_answered_with_5xx(world, guarded):
    (alarm,) = guarded(RATE).values()
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0.01, "GreaterThanThreshold")
    asked = queries(alarm)
    assert asked["verdict"]["Expression"] == "IF(requests >= 50, MAX([errors, lost]) / requests, 0)"
    assert asked["lost"]["Expression"] == "failed - rejected"
    stats = {name: each["MetricStat"] for name, each in asked.items() if "MetricStat" in each}
    assert {name: each["Metric"]["MetricName"] for name, each in stats.items()} == {
        "requests": "Invocations",
        "failed": "InvocationModelErrors",
        "rejected": "Invocation4XXErrors",
        "errors": "Invocation5XXErrors",
    }
    assert {(each["Stat"], each["Period"]) for each in stats.values()} == {("Sum", 60)}
    assert [name for name, each in asked.items() if each["ReturnData"]] == ["verdict"]


def test_a_latency_is_told_in_microseconds(guarded):
    (alarm,) = guarded(("p99", 0.25)).values()
    assert alarm["Threshold"] == 250_000
    asked = queries(alarm)
    assert asked["verdict"]["Expression"] == "IF(requests >= 50, latency, 0)"
    latency = asked["latency"]["MetricStat"]
    assert (latency["Metric"]["MetricName"], latency["Stat"]) == ("ModelLatency", "p99")


def test_only_the_new_servers_are_watched(world, guarded):
    (alarm,) = guarded(RATE).values()
    watched = {
        each["Name"]: each["Value"]
        for query in alarm["Metrics"]
        if "MetricStat" in query
        for each in query["MetricStat"]["Metric"]["Dimensions"]
    }
    assert watched == {
        "EndpointName": world.name,
        "VariantName": "main-00000001",
        "EndpointConfigName": world.platform.endpoint.config,
    }


def test_minutes_without_requests_are_well_and_alarms_bear_the_kits_tags(guarded):
    (alarm,) = guarded(RATE).values()
    assert (alarm["TreatMissingData"], alarm["EvaluationPeriods"]) == ("notBreaching", 1)
    tags = {each["Key"]: each["Value"] for each in alarm["Tags"]}
    assert tags == {"CostCentre": "42", "mlinfra_id": "0" * 40, "mlinfra_endpoint": "credit-risk"}


def test_people_are_told_where_the_environment_has_somebody_to_tell(world, guarded):
    (silent,) = guarded(RATE).values()
    assert "AlarmActions" not in silent
    told = {"observability": Observability(notify=TOPIC)}
    world.environment = world.environment.model_copy(update=told)
    (alarm,) = guarded(RATE).values()
    assert alarm["AlarmActions"] == [TOPIC]


def test_the_alarms_are_there_before_the_change_that_they_watch(world, guarded):
    names = sorted(guarded(RATE, ("p99", 1.0), alarms=("slow",)))
    sent = world.platform.sent
    assert sent.count("PutMetricAlarm") == 2
    assert max(i for i, name in enumerate(sent) if name == "PutMetricAlarm") < sent.index("UpdateEndpoint")
    assert world.platform.wrongs == []
    assert [name.rpartition("-")[2] for name in names] == ["error_rate", "p99"]


def test_of_two_bounds_of_a_metric_the_narrower_is_watched(world, guarded):
    (alarm,) = guarded(("error_rate", 0.05), RATE, ("error_rate", 0.1)).values()
    assert alarm["Threshold"] == 0.01
    assert world.platform.sent.count("PutMetricAlarm") == 1


def test_a_change_without_rules_of_its_own_makes_none(guarded):
    assert guarded(alarms=("errors-high",)) == {}


def test_the_next_change_has_alarms_of_its_own_and_the_old_ones_go(world, kit, guarded):
    before = set(guarded(RATE))
    world.reach({3: 100}, guard=guard(kit, ("error_rate", 0.05)))
    after = {name: each for name, each in world.platform.alarms.items() if name.startswith("mlinfra")}
    assert not before & set(after)
    assert [each["Threshold"] for each in after.values()] == [0.05]
    assert (world.left_over, world.platform.wrongs) == ([], [])


def test_a_rule_that_changed_before_the_update_changes_its_alarm(world, kit):
    world.reach({1: 100})
    engine = world.engine()
    for bound in (0.01, 0.05):
        desired = world.desired({2: 100}, guard=guard(kit, ("error_rate", bound)))
        for request in engine.step(desired).requests:
            engine.effect(request)
    (alarm,) = (each for name, each in world.platform.alarms.items() if name.startswith("mlinfra"))
    assert alarm["Threshold"] == 0.05
    assert "UpdateEndpoint" not in world.platform.sent


def test_what_watched_a_change_that_was_given_up_goes(world, kit, guarded):
    world.reach({1: 100})
    world.platform.alarming = True
    assert isinstance(world.reach({2: 100}, guard=guard(kit, RATE)), kit.Failed)
    world.reach({1: 100})
    assert (world.left_over, world.platform.wrongs) == ([], [])


def test_a_change_that_the_process_watches_leaves_no_alarm_behind(world, guarded):
    guarded(RATE)
    for shares in ({3: 0, 2: 100}, {3: 100}):
        world.reach(shares)
    assert [name for name in world.platform.alarms if name.startswith("mlinfra")] == []


def test_alarms_go_with_the_endpoint_and_are_found_when_they_alone_are_left(world, kit, guarded):
    (name,) = guarded(RATE)
    alarm = world.platform.alarms[name]
    world.reach({})
    assert name not in world.platform.alarms
    world.platform.alarms[name] = alarm
    left = world.look()
    assert (left.physical_name, left.detail) == (world.name, "gone")
    assert isinstance(world.reach({}), kit.Done)
    assert (world.look(), name in world.platform.alarms) == (None, False)


def test_an_override_may_add_to_an_alarm_and_not_change_what_it_means(world, guarded):
    (alarm,) = guarded(RATE, overrides={"aws": {"PutMetricAlarm": {"OKActions": [TOPIC]}}}).values()
    assert alarm["OKActions"] == [TOPIC]
    with pytest.raises(SpecError, match="Threshold"):
        guarded(RATE, overrides={"aws": {"PutMetricAlarm": {"Threshold": 1}}})
