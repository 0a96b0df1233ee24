"""The parts that need nothing running: splits, strategies, plans, alarms, expressions, captures, routes."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.aws.cloudwatch.alarms import Rule, judge
from mlinfra.emulator.aws.cloudwatch.expressions import NotUnderstood, evaluate
from mlinfra.emulator.aws.endpoints.capture import Capture, Exchange, Part
from mlinfra.emulator.aws.endpoints.plans import instances, plan, plans, retained
from mlinfra.emulator.aws.endpoints.strategy import Unfit, strategy
from mlinfra.emulator.hosting.routes import Route, Routes
from mlinfra.emulator.hosting.split import Split

NOW = datetime(2026, 11, 21, 12, 34, 56, 789_000, tzinfo=UTC)


@given(st.dictionaries(st.text(min_size=1), st.floats(0.01, 100), min_size=1, max_size=5), st.integers(1, 200))
def test_at_every_moment_everybody_is_within_one_of_the_exact_share(weights, turns):
    split = Split(weights)
    taken = Counter(split.next() for _ in range(turns))
    total = sum(weights.values())
    assert all(abs(taken[key] - turns * weight / total) < len(weights) for key, weight in weights.items())


def test_no_weight_no_turn():
    assert Split({"a": 0.0}).next() is None
    assert {Split({"a": 0.0, "b": 2.0}).next() for _ in range(3)} == {"b"}


def routing(kind, **sizes):
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": 60, **sizes}}
    }


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (None, [1.0]),
        (routing("ALL_AT_ONCE"), [1.0]),
        (routing("CANARY", CanarySize=percent(10)), [0.1, 1.0]),
        (routing("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), [0.25, 1.0]),
        (routing("LINEAR", LinearStepSize=percent(30)), [0.3, 0.6, pytest.approx(0.9), 1.0]),
        ({"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 0}}, [0.5, 1.0]),
    ],
)
def test_the_steps_of_each_policy(config, shares):
    assert [step.shares["main"] for step in strategy(config, {"main": 4}).steps] == shares


def test_what_a_deployment_says_beside_its_steps():
    config = routing("ALL_AT_ONCE") | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}
    config["BlueGreenUpdatePolicy"] |= {"TerminationWaitInSeconds": 30, "MaximumExecutionTimeoutInSeconds": 900}
    found = strategy(config, {"main": 1})
    assert (found.alarms, found.termination_wait, found.timeout, found.rolling) == (("a",), 30, 900, False)
    assert found.steps[0].bake == 60


@pytest.mark.parametrize(
    "config",
    [
        routing("CANARY"),
        routing("CANARY", CanarySize=percent(51)),
        routing("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 3}),
        routing("LINEAR", LinearStepSize=percent(9)),
        {"RollingUpdatePolicy": {"MaximumBatchSize": percent(4), "WaitIntervalInSeconds": 0}},
    ],
)
def test_sizes_have_bounds(config):
    with pytest.raises(Unfit):
        strategy(config, {"main": 4})


def variant(**members):
    return {
        "VariantName": "main",
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
        **members,
    }


def test_an_update_retains_what_it_is_told_to_retain():
    wanted = plan(variant(InitialVariantWeight=0.5))
    present = {"main": (3.0, 7)}
    assert (retained(wanted, present).weight, retained(wanted, present).count) == (3.0, 7)
    kept = retained(wanted, present, ["DesiredWeight"])
    assert (kept.weight, kept.count) == (0.5, 7)
    assert retained(wanted, {"other": (3.0, 7)}) == wanted


def test_instances_are_counted_by_type():
    config = {
        "ProductionVariants": [
            variant(),
            variant(VariantName="b"),
            {"VariantName": "s", "ModelName": "m", "ServerlessConfig": {}},
        ]
    }
    assert instances(plans(config)) == {"ml.m5.large": 4}


X, N, _ = 20.0, 1.0, None  # breaching, not breaching, missing


@pytest.mark.parametrize(
    ("values", "datapoints", "states"),
    [  # the two tables of CloudWatch's guide, for an alarm on three periods; `present` stands for the state of before
        ([N, _, X, _, X], 3, ("OK", "OK", "OK", "OK")),
        ([_, _, _, _, N], 3, ("OK", "OK", "OK", "OK")),
        ([_, _, _, _, _], 3, ("INSUFFICIENT_DATA", "present", "ALARM", "OK")),
        ([N, X, X, _, X], 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ([_, _, X, _, _], 3, ("ALARM", "present", "ALARM", "OK")),
        ([N, _, X, _, X], 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ([N, N, X, N, X], 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ([N, _, X, _, _], 2, ("OK", "OK", "ALARM", "OK")),
        ([_, _, _, _, N], 2, ("OK", "OK", "ALARM", "OK")),
        ([_, _, _, X, _], 2, ("ALARM", "present", "ALARM", "OK")),
    ],
)
def test_missing_values_count_as_cloudwatchs_tables_have_it(values, datapoints, states):
    for treatment, state in zip(("missing", "ignore", "breaching", "notBreaching"), states, strict=True):
        rule = Rule(10.0, "GreaterThanThreshold", periods=3, datapoints=datapoints, missing=treatment)
        assert rule.reach == len(values)
        assert judge(rule, values, "present").state == state, treatment


@pytest.mark.parametrize(
    ("comparison", "at_the_threshold"),
    [
        ("GreaterThanOrEqualToThreshold", "ALARM"),
        ("GreaterThanThreshold", "OK"),
        ("LessThanThreshold", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM"),
    ],
)
def test_comparisons(comparison, at_the_threshold):
    assert judge(Rule(10.0, comparison, 1, 1), [None, None, 10.0], "OK").state == at_the_threshold


def test_expressions_work_on_the_periods_that_both_sides_have():
    known = {"a": {0.0: 6.0, 60.0: 8.0}, "b": {0.0: 2.0, 60.0: 0.0, 120.0: 1.0}}
    periods = [0.0, 60.0, 120.0]
    assert evaluate("a / b", known, periods) == {0.0: 3.0}
    assert evaluate("-(a - 1) ^ 2", known, periods) == {0.0: 25.0, 60.0: 49.0}
    assert evaluate("SUM([a, b])", known, periods) == {0.0: 8.0, 60.0: 8.0, 120.0: 1.0}
    assert evaluate("b / MAX(b)", known, periods) == {0.0: 1.0, 60.0: 0.0, 120.0: 0.5}
    assert evaluate("b / MAX(nothing)", {**known, "nothing": {}}, periods) == {}
    assert evaluate("FILL(a, b)", known, periods) == {0.0: 6.0, 60.0: 8.0, 120.0: 1.0}
    assert evaluate("IF(b > 0, a)", known, periods) == {0.0: 6.0}


@pytest.mark.parametrize(
    "expression",
    [
        "a +",
        "c",
        "__import__('os')",
        "a.b",
        "SEARCH('x')",
        "[a, b]",
        "1 / 0",
        "lambda: 1",
        "(" * 300 + "a",
        "a[0]",
        "'x'",
    ],
)
def test_expressions_that_are_not_understood_are_refused(expression):
    with pytest.raises(NotUnderstood):
        evaluate(expression, {"a": {0.0: 1.0}, "b": {}}, [0.0])


def capture(written, **members):
    config = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/captures/",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
    }
    return Capture("ep", {**config, **members}, lambda uri, data: written.append((uri, data)))


def exchange(at=NOW, variant="main"):
    return Exchange(at, variant, Part("text/csv", b"1,2"), Part("text/csv; charset=utf-8", b"0.5"), "id", "trace")


def test_a_record_is_worded_as_sagemakers_documentation_shows_it():
    written = []
    captured = capture(written)
    captured.take(exchange())
    captured.flush()
    [(uri, data)] = written
    assert uri.startswith("s3://bucket/captures/ep/main/2026/11/21/12/34-56-789-")
    assert uri.endswith(".jsonl")
    record = json.loads(data)
    assert record["captureData"] == {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"},
        "endpointOutput": {
            "observedContentType": "text/csv; charset=utf-8",
            "mode": "OUTPUT",
            "data": "0.5",
            "encoding": "CSV",
        },
    }
    metadata = record["eventMetadata"]
    assert metadata.pop("eventId")
    assert metadata == {"customAttributes": ["trace"], "inferenceId": "id", "inferenceTime": "2026-11-21T12:34:56Z"}


def test_each_variant_and_hour_has_objects_of_its_own_and_only_what_was_asked_is_kept():
    written = []
    captured = capture(written, CaptureOptions=[{"CaptureMode": "Output"}], InitialSamplingPercentage=50)
    for number in range(4):
        captured.take(exchange(variant="b" if number > 1 else "main"))
    captured.take(exchange(NOW.replace(hour=13)))
    captured.take(exchange(NOW.replace(hour=13)))
    captured.flush()
    captured.flush()
    assert sorted(uri.rpartition("/")[0].removeprefix("s3://bucket/captures/ep/") for uri, _ in written) == [
        "b/2026/11/21/12",
        "main/2026/11/21/12",
        "main/2026/11/21/13",
    ]
    records = [json.loads(line) for _, data in written for line in data.splitlines()]
    assert [sorted(record["captureData"]) for record in records] == [["endpointOutput"]] * 3


def test_a_capture_that_cannot_be_written_fails_nobody():
    def refuse(_uri, _data):
        raise PermissionError

    captured = Capture(
        "ep",
        {"InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://b", "CaptureOptions": [{"CaptureMode": "Input"}]},
        refuse,
    )
    captured.take(exchange())
    captured.flush()


def test_a_fleet_that_has_left_the_routes_keeps_its_requests_and_gets_no_more():
    routes = Routes()
    routes.replace([Route("main", "old", 1.0, 1.0)])
    fleet = routes.enter()
    routes.replace([Route("main", "new", 1.0, 1.0)])
    assert [routes.enter(), routes.enter("main")] == ["new", "new"]
    assert (routes.under_way("old"), routes.under_way("new")) == (1, 2)
    routes.leave(fleet)
    assert routes.under_way("old") == 0
    assert routes.enter("nobody") is None
