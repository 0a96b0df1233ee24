"""Alarms on endpoints that the adapter deploys: which there are, what they watch and whom they tell."""

import pytest

from mlinfra.environment import AwsEnvironment
from mlinfra.infra.aws import names
from mlinfra_aws.render.endpoint_names import physical_name

pytestmark = pytest.mark.thorough

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
PHYSICAL = "credit-risk-85e2c0"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:mlinfra-aws-prod-85e2c0"
QUERY = "SELECT AVG({}) FROM SCHEMA(\"AWS/SageMaker\", EndpointName, VariantName) WHERE EndpointName = '{}'"


@pytest.mark.parametrize(
    ("own", "metric", "above"), [("errors", "Invocation5XXErrors", 0.01), ("latency", "ModelLatency", 1_000_000.0)]
)
def test_each_watches_all_variants_of_the_endpoint_and_tells_the_topic(up, own, metric, above):
    alarm = up("prod", watched=["credit-risk"]).named(f"aws-prod-credit-risk-alarms-{own}")
    told = {key: value for key, value in alarm.inputs.items() if key not in {"tags", "alarmDescription"}}
    assert told == {
        "name": f"mlinfra-{PHYSICAL}-{own}",
        "metricQueries": [{"id": own, "expression": QUERY.format(metric, PHYSICAL), "period": 60, "returnData": True}],
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": above,
        "evaluationPeriods": 2,
        "treatMissingData": "notBreaching",
        "alarmActions": [TOPIC],
    }
    assert alarm.inputs["tags"] == {
        "mlinfra_environment": "aws-prod",
        "mlinfra_stage": "prod",
        "mlinfra_name": "credit-risk",
    }


def test_where_nobody_should_be_woken_there_are_none(up):
    assert up("dev", watched=["credit-risk"]).of(ALARM) == []
    assert up("staging", watched=["credit-risk"], settings={"alarms": False}).of(ALARM) == []
    assert len(up("staging", watched=["credit-risk", "fraud"]).of(ALARM)) == 4


def test_stack_and_adapter_know_an_endpoint_by_one_name(platform):
    configuration = platform.configured("prod", watched=["credit-risk"])
    environment = AwsEnvironment(name="aws-prod", region="eu-west-1", account="111122223333")
    assert names.endpoint(configuration, "credit-risk") == physical_name("credit-risk", environment) == PHYSICAL
