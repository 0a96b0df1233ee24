"""Alarms over an endpoint's figures: those of a stack, and figures that tell an update's new servers from the old."""

from __future__ import annotations

from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from mlinfra.emulator.providers import mocks
from mlinfra.emulator.provisioning import Declared
from mlinfra.infra.aws.configuration import AwsConfiguration
from mlinfra.infra.aws.observation import Alarms
from mlinfra.infra.configuration import read

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:notices"

pytestmark = pytest.mark.thorough


def ask(hosting, name, times):
    for _ in range(times):
        with suppress(ClientError):
            hosting.ask(name)


def states(cloudwatch, prefix):
    told = cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
    return {each["AlarmName"].rpartition("-")[2]: each["StateValue"] for each in told}


def test_a_stacks_alarm_is_raised_when_an_endpoint_answers_errors(hosting, emulator, cloudwatch):
    base = {"platform": "aws", "region": "eu-west-1", "account": emulator.account, "stage": "prod", "emulated": True}
    configuration = read(AwsConfiguration, {**base, "watched": ["credit-risk"]}, stack="aws-prod")
    made = mocks.run(
        lambda: Alarms("credit-risk", configuration, endpoint="credit-risk", topic=TOPIC),
        config={"aws:region": "eu-west-1"},
    )
    _, cloud = emulator.provisioner()
    for alarm in made.of(ALARM):
        cloud.create(Declared(ALARM, alarm.inputs, alarm.inputs["name"]))
    physical = f"credit-risk-{configuration.suffix}"
    hosting.model("bad", STATUS="500")
    hosting.config("one", {"VariantName": "main-1"})
    hosting.config("two", {"VariantName": "main-2", "ModelName": "bad"})
    hosting.endpoint(physical, "one")
    emulator.clock.advance(60)
    for _ in range(2):
        ask(hosting, physical, 5)
        emulator.clock.advance(60)
    assert states(cloudwatch, f"mlinfra-{physical}") == {"errors": "OK", "latency": "OK"}
    hosting.sagemaker.update_endpoint(EndpointName=physical, EndpointConfigName="two")
    hosting.settled(physical)
    emulator.clock.advance(60)
    for _ in range(2):
        ask(hosting, physical, 5)
        emulator.clock.advance(60)
    assert states(cloudwatch, f"mlinfra-{physical}") == {"errors": "ALARM", "latency": "OK"}
    (told,) = cloudwatch.describe_alarms(AlarmNames=[f"mlinfra-{physical}-errors"])["MetricAlarms"]
    assert told["AlarmActions"] == [TOPIC]


def test_figures_are_told_by_configuration_too(hosting, emulator, cloudwatch):
    hosting.config("first")
    hosting.config("second", {"InitialInstanceCount": 1})
    hosting.endpoint("ep", "first")
    emulator.clock.advance(60)
    ask(hosting, "ep", 2)
    hosting.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second")
    hosting.settled("ep")
    ask(hosting, "ep", 3)
    begin = emulator.clock.now()
    emulator.clock.advance(120)

    def requests(**more):
        dimensions = {"EndpointName": "ep", "VariantName": "main", **more}
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=begin.replace(year=begin.year - 1),
            EndTime=emulator.clock.now(),
            Period=86400,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert [requests(), requests(EndpointConfigName="first"), requests(EndpointConfigName="second")] == [5, 2, 3]


def test_tagging_an_alarm_as_it_is_made_is_a_further_permission(emulator, environment, client):
    alarm = {
        "AlarmName": "high",
        "Namespace": "own",
        "MetricName": "load",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    with emulator.policy.without(environment.identities["deployer"], "cloudwatch:TagResource"):
        with pytest.raises(ClientError, match="not authorized to perform: cloudwatch:TagResource"):
            client("cloudwatch").put_metric_alarm(**alarm, Tags=[{"Key": "team", "Value": "risk"}])
        client("cloudwatch").put_metric_alarm(**alarm)
