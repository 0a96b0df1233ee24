"""CloudWatch as boto3 asks it: an endpoint's metrics, metrics of one's own, alarms."""

from __future__ import annotations

import time
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from mlinfra.emulator.aws.wire import shapes

WHOLE = {"MetricName": "load", "Namespace": "own"}
NO_METRIC = dict.fromkeys(("MetricName", "Namespace", "Statistic", "Period"))
ELEVEN = [
    {"Id": "e", "Expression": "m0 + m10", "ReturnData": True},
    *(
        {"Id": f"m{number}", "MetricStat": {"Metric": WHOLE, "Period": 60, "Stat": "Sum"}, "ReturnData": False}
        for number in range(11)
    ),
]


def put(cloudwatch, *values, at=None, **members):
    data = {"MetricName": "load", "Values": list(values), "Counts": [1.0] * len(values), **members}
    if at:
        data["Timestamp"] = at
    cloudwatch.put_metric_data(Namespace="own", MetricData=[data])


def alarm(cloudwatch, **members):
    settings = {
        **WHOLE,
        "AlarmName": "high",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 10,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    settings = {**settings, **members}
    cloudwatch.put_metric_alarm(**{name: value for name, value in settings.items() if value is not None})


def state(cloudwatch, name="high"):
    return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


@pytest.mark.thorough
def test_an_endpoints_requests_are_counted_by_the_minute(hosting, emulator, cloudwatch, minute):
    hosting.model("bad", STATUS="404")
    hosting.config("two", {"InitialInstanceCount": 2}, {"VariantName": "bad", "ModelName": "bad"})
    hosting.endpoint("ep", "two")
    emulator.clock.advance(15)  # into the minute
    for number in range(10):
        try:
            hosting.ask("ep", number)
        except ClientError:
            assert number % 2
    dimensions = [{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "main"}]
    asked = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": dimensions},
                "Period": 60,
                "Stat": stat,
            },
        }
        for number, (name, stat) in enumerate(
            [
                ("Invocations", "Sum"),
                ("InvocationsPerInstance", "Sum"),
                ("Invocation4XXErrors", "Average"),
                ("ModelLatency", "p99"),
                ("OverheadLatency", "Maximum"),
            ]
        )
    ]
    hosting.emulator.clock.advance(120)
    end = hosting.emulator.clock.now()
    found = cloudwatch.get_metric_data(MetricDataQueries=asked, StartTime=minute, EndTime=end)["MetricDataResults"]
    assert [result["Values"][0] for result in found[:3]] == [5.0, 2.5, 0.0]
    assert [result["Timestamps"][0].second for result in found] == [0] * 5
    assert 10 < found[3]["Values"][0] < 5e6  # microseconds
    assert 0 < found[4]["Values"][0] < 5e6
    rate = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocation4XXErrors",
        Dimensions=[dimensions[0], {"Name": "VariantName", "Value": "bad"}],
        StartTime=minute,
        EndTime=end,
        Period=60,
        Statistics=["Average", "SampleCount"],
    )["Datapoints"]
    assert [(point["Average"], point["SampleCount"]) for point in rate] == [(1.0, 5.0)]
    fine = [{**asked[0], "MetricStat": {**asked[0]["MetricStat"], "Period": 10}}]
    found = cloudwatch.get_metric_data(MetricDataQueries=fine, StartTime=minute, EndTime=end)["MetricDataResults"]
    assert [at.second for at in found[0]["Timestamps"]] == [0], "one value a minute, whatever period is asked for"
    listed = cloudwatch.list_metrics(Namespace="AWS/SageMaker", MetricName="Invocations")["Metrics"]
    configs = [{each["Name"]: each["Value"] for each in metric["Dimensions"]} for metric in listed]
    assert sorted(has.get("EndpointConfigName", "") for has in configs) == ["", "", "two", "two"]
    end = time.monotonic() + 5
    while not (used := cloudwatch.list_metrics(Namespace="/aws/sagemaker/Endpoints")["Metrics"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert {metric["MetricName"] for metric in used} <= {"CPUUtilization", "MemoryUtilization"}


def test_what_was_put_comes_back_in_periods_and_statistics(cloudwatch, emulator, minute):
    put(cloudwatch, 1.0, 2.0, 3.0, at=minute, Unit="Count")
    put(cloudwatch, 10.0, at=minute + timedelta(seconds=60), Unit="Count")
    asked = {**WHOLE, "StartTime": minute, "EndTime": minute + timedelta(minutes=3), "Period": 60}
    points = cloudwatch.get_metric_statistics(**asked, Statistics=["Sum", "Minimum", "Maximum", "Average"])
    first, second = points["Datapoints"]
    assert (first["Sum"], first["Minimum"], first["Maximum"], first["Average"]) == (6.0, 1.0, 3.0, 2.0)
    assert (second["Sum"], second["Unit"], second["Timestamp"]) == (10.0, "Count", minute + timedelta(seconds=60))
    percentiles = cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p50"])["Datapoints"]
    assert percentiles[0]["ExtendedStatistics"] == {"p50": 2.0}
    assert cloudwatch.get_metric_statistics(**asked, Statistics=["Sum"], Unit="Seconds")["Datapoints"] == []


def test_expressions_are_worked_out_over_other_queries(cloudwatch, minute):
    put(cloudwatch, 2.0, at=minute)
    put(cloudwatch, 8.0, at=minute, MetricName="all")
    queries = [
        {"Id": "rate", "Expression": "100 * e / a", "Label": "rate"},
        {"Id": "filled", "Expression": "FILL(missing, 7) + IF(a > 1, 1, 0)"},
        *(
            {
                "Id": name,
                "MetricStat": {"Metric": {"Namespace": "own", "MetricName": metric}, "Period": 60, "Stat": "Sum"},
                "ReturnData": False,
            }
            for name, metric in (("e", "load"), ("a", "all"), ("missing", "never"))
        ),
    ]
    end = minute + timedelta(minutes=1)
    found = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=minute, EndTime=end)["MetricDataResults"]
    assert [(result["Id"], result["Values"]) for result in found] == [("rate", [25.0]), ("filled", [8.0])]


def test_an_alarm_follows_its_metric(cloudwatch, emulator, minute):
    alarm(cloudwatch)
    assert state(cloudwatch) == "INSUFFICIENT_DATA"
    put(cloudwatch, 50.0)
    emulator.clock.advance(30)
    assert state(cloudwatch) == "INSUFFICIENT_DATA", "the period has not ended"
    emulator.clock.advance(31)
    told = cloudwatch.describe_alarms(AlarmNames=["high"])["MetricAlarms"][0]
    assert told["StateValue"] == "ALARM"
    assert "[50]" in told["StateReason"]
    assert told["StateTransitionedTimestamp"] == minute + timedelta(seconds=60)
    put(cloudwatch, 1.0)
    emulator.clock.advance(60)
    assert state(cloudwatch) == "OK"


def test_an_alarm_on_an_expression(cloudwatch, emulator, minute):
    def metric(name, id_):
        stat = {"Metric": {"Namespace": "own", "MetricName": name}, "Period": 60, "Stat": "Sum"}
        return {"Id": id_, "MetricStat": stat, "ReturnData": False}

    queries = [metric("load", "e"), metric("all", "a"), {"Id": "rate", "Expression": "e / a", "ReturnData": True}]
    alarm(cloudwatch, **NO_METRIC, Metrics=queries, Threshold=0.1)
    put(cloudwatch, 2.0)
    put(cloudwatch, 10.0, MetricName="all")
    emulator.clock.advance(60)
    assert state(cloudwatch) == "ALARM"


def test_a_state_set_by_hand_lasts_until_the_next_look_at_the_metric(cloudwatch, emulator, minute):
    alarm(cloudwatch, TreatMissingData="notBreaching")
    cloudwatch.set_alarm_state(AlarmName="high", StateValue="ALARM", StateReason="a rehearsal")
    assert state(cloudwatch) == "ALARM"
    emulator.clock.advance(60)
    assert state(cloudwatch) == "OK"
    assert emulator.cloudwatch.raised_since("high", minute)


def test_alarms_are_listed_tagged_and_deleted(cloudwatch):
    for name in ("a-1", "a-2", "b-1"):
        alarm(cloudwatch, AlarmName=name, Tags=[{"Key": "mlinfra_id", "Value": name}])
    told = cloudwatch.describe_alarms(AlarmNamePrefix="a-")["MetricAlarms"]
    assert [each["AlarmName"] for each in told] == ["a-1", "a-2"]
    arn = told[0]["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "risk"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["mlinfra_id"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "risk"}]
    pages = cloudwatch.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["MetricAlarms"]) for page in pages] == [2, 1]
    cloudwatch.delete_alarms(AlarmNames=["a-1", "a-2", "b-1"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.set_alarm_state(AlarmName="a-1", StateValue="OK", StateReason="gone")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"Period": 7}, "Period must be"),
        ({"Statistic": None}, "Exactly one of Statistic and ExtendedStatistic"),
        ({"Statistic": None, "ExtendedStatistic": "tm90"}, "not emulated"),
        ({"TreatMissingData": "perhaps"}, "TreatMissingData must be one of"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm must be at most"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "not emulated"),
        ({"MetricName": None}, "Exactly one of MetricName and Metrics"),
        ({**NO_METRIC, "Metrics": [{"Id": "e", "Expression": "1 + 1"}]}, "needs at least one metric"),
        ({**NO_METRIC, "Metrics": ELEVEN}, "at most 10 metrics"),
    ],
)
def test_alarms_that_cannot_be_are_refused(cloudwatch, members, words):
    with pytest.raises(ClientError, match=words):
        alarm(cloudwatch, **members)
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize("protocol", ["json", "query", "smithy-rpc-v2-cbor"])
def test_every_protocol_that_clients_choose_among_is_spoken(emulator, environment, minute, protocol):
    emulator.desk.enforce = False

    def call(name, **members):
        model = shapes.service("cloudwatch").operation_model(name)
        request = create_serializer(protocol).serialize_to_request(members, model)
        key = emulator.credentials("deployer").access_key_id
        scope = f"AWS4-HMAC-SHA256 Credential={key}/20261121/eu-west-1/monitoring/aws4_request, Signature=0"
        body = urlencode(request["body"]) if isinstance(request["body"], dict) else request["body"]
        connection = HTTPConnection("127.0.0.1", emulator.server.port)
        connection.request("POST", request["url_path"], body, {**request["headers"], "Authorization": scope})
        answer = connection.getresponse()
        content = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.read()}
        connection.close()
        return create_parser(protocol).parse(content, model.output_shape)

    data = [{"MetricName": "load", "Value": 5.0, "Timestamp": minute, "Dimensions": [{"Name": "a", "Value": "b"}]}]
    assert call("PutMetricData", Namespace="own", MetricData=data)["ResponseMetadata"]["HTTPStatusCode"] == 200
    asked = {"Namespace": "own", "MetricName": "load", "Dimensions": [{"Name": "a", "Value": "b"}], "Period": 60}
    end = minute + timedelta(minutes=1)
    points = call("GetMetricStatistics", **asked, StartTime=minute, EndTime=end, Statistics=["Sum"])["Datapoints"]
    assert [(point["Timestamp"], point["Sum"]) for point in points] == [(minute, 5.0)]
    told = call("SetAlarmState", AlarmName="nobody", StateValue="OK", StateReason="")
    assert told["Error"]["Code"] == "ResourceNotFound"


@pytest.mark.thorough
def test_a_configuration_may_ask_for_metrics_more_often(hosting, emulator, cloudwatch, minute):
    often = {"EnableEnhancedMetrics": True, "MetricPublishFrequencyInSeconds": 10}
    hosting.config("often", {}, MetricsConfig=often)
    assert hosting.endpoint("ep", "often")["MetricsConfig"] == often
    now = emulator.clock.now()
    emulator.clock.advance(60 - now.timestamp() % 60 + 15)
    hosting.ask("ep")
    emulator.clock.advance(30)
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "main"}],
        StartTime=minute,
        EndTime=emulator.clock.now(),
        Period=10,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [(point["Timestamp"].second, point["Sum"]) for point in points] == [(10, 1.0)]
