"""CloudWatch's Metrics Insights as boto3 asks it: in GetMetricData and in alarms."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from mlinfra.emulator.aws.cloudwatch.insights import Query, is_query, parse

FROM = 'FROM SCHEMA("own/things", Place, Kind)'


@pytest.fixture
def measured(cloudwatch, minute):
    """Two kinds at one place, one at another, and the whole told once more without its kind."""
    for values, dimensions in (
        ([0.0, 1.0], {"Place": "here", "Kind": "a"}),
        ([4.0], {"Place": "here", "Kind": "b"}),
        ([100.0], {"Place": "there", "Kind": "a"}),
        ([1000.0], {"Place": "here"}),
    ):
        told = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        datum = {"MetricName": "load", "Dimensions": told, "Values": values, "Counts": [1.0] * len(values)}
        cloudwatch.put_metric_data(Namespace="own/things", MetricData=[{**datum, "Timestamp": minute}])
    return minute


def ask(cloudwatch, minute, *expressions, **members):
    asked = [{"Id": f"q{n}", "Expression": text, "Period": 60, **members} for n, text in enumerate(expressions)]
    end = minute + timedelta(minutes=1)
    return cloudwatch.get_metric_data(MetricDataQueries=asked, StartTime=minute, EndTime=end)["MetricDataResults"]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (f"SELECT SUM(load) {FROM} WHERE Place = 'here'", 5.0),
        (f"SELECT COUNT(load) {FROM} WHERE Place = 'here'", 3.0),
        (f"SELECT AVG(load) {FROM} WHERE Place = 'here'", 5 / 3),
        (f"select max(load) {FROM} where Place = 'here' and Kind = 'a'", 1.0),
        (f'SELECT MIN("load") {FROM} WHERE "Kind"=\'a\'', 0.0),
        ('SELECT SUM(load) FROM "own/things"', 1105.0),
        ('SELECT SUM(load) FROM SCHEMA("own/things", Place);', 1000.0),
    ],
)
def test_all_that_match_are_taken_together(cloudwatch, measured, query, value):
    (found,) = ask(cloudwatch, measured, query)
    assert found["Values"] == [pytest.approx(value)]
    assert found["Timestamps"] == [measured]


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT SUM(load) {FROM} WHERE Place = 'nowhere'",
        'SELECT SUM(load) FROM SCHEMA("own/things")',
        f"SELECT SUM(Load) {FROM}",
    ],
)
def test_what_nothing_matches_has_no_values(cloudwatch, measured, query):
    (found,) = ask(cloudwatch, measured, query)
    assert found["Values"] == []


def test_a_query_is_a_series_that_expressions_may_build_on(cloudwatch, measured):
    asked = [
        {"Id": "whole", "Expression": f"SELECT SUM(load) {FROM}", "Period": 60, "ReturnData": False},
        {"Id": "half", "Expression": "whole / 2"},
    ]
    end = measured + timedelta(minutes=1)
    told = cloudwatch.get_metric_data(MetricDataQueries=asked, StartTime=measured, EndTime=end)
    assert [(each["Id"], each["Values"]) for each in told["MetricDataResults"]] == [("half", [52.5])]


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT p99(load) {FROM}",
        f"SELECT AVG(load) {FROM} GROUP BY Kind",
        f"SELECT AVG(load) {FROM} WHERE Kind != 'a'",
        f"SELECT AVG(load) {FROM} WHERE Kind = 'a' OR Kind = 'b'",
        f"SELECT AVG(load) {FROM} WHERE tag.team = 'risk'",
        f"SELECT AVG(load) {FROM} LIMIT 1",
        "SELECT AVG(load)",
    ],
)
def test_what_is_not_emulated_is_refused(cloudwatch, measured, query):
    with pytest.raises(ClientError, match="is not emulated"):
        ask(cloudwatch, measured, query)


def test_a_query_needs_a_period_of_its_own(cloudwatch, measured):
    asked = [{"Id": "q", "Expression": f"SELECT AVG(load) {FROM}"}]
    with pytest.raises(ClientError, match="needs a Period"):
        cloudwatch.get_metric_data(MetricDataQueries=asked, StartTime=measured, EndTime=measured + timedelta(minutes=1))


def test_a_request_holds_one_query(cloudwatch, measured):
    with pytest.raises(ClientError, match="only one Metrics Insights query"):
        ask(cloudwatch, measured, f"SELECT AVG(load) {FROM}", f"SELECT MAX(load) {FROM}")


def test_an_alarm_on_a_query_follows_what_comes_later(cloudwatch, emulator, minute):
    query = {"Id": "q", "Expression": f"SELECT AVG(load) {FROM} WHERE Place = 'here'", "Period": 60}
    cloudwatch.put_metric_alarm(
        AlarmName="high",
        Metrics=[{**query, "ReturnData": True}],
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    emulator.clock.advance(60)
    states = []
    for kind, value in (("new", 50.0), ("newer", 1.0)):
        told = [{"Name": "Place", "Value": "here"}, {"Name": "Kind", "Value": kind}]
        datum = {"MetricName": "load", "Dimensions": told, "Value": value}
        cloudwatch.put_metric_data(Namespace="own/things", MetricData=[datum])
        emulator.clock.advance(60)
        states.append(cloudwatch.describe_alarms(AlarmNames=["high"])["MetricAlarms"][0]["StateValue"])
    assert states == ["ALARM", "OK"]


def test_names_and_values_are_read_as_they_are_quoted():
    read = parse('SELECT AVG("SELECT") FROM SCHEMA("a b", "C D") WHERE "C D" = \'it\'\'s = AND\'')
    assert read == Query("Average", "SELECT", "a b", frozenset({"C D"}), {"C D": "it's = AND"})
    assert is_query("  select AVG(a) FROM b")
    assert not is_query("selected / 2")
