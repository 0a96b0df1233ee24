"""What a stack declares of an endpoint that it owns whole: it serves, is changed by its alarms' leave, scales, goes."""

from __future__ import annotations

import pytest

from mlinfra.emulator.provisioning import Declared, Refused
from mlinfra.emulator.settings import Settings

pytestmark = pytest.mark.thorough

ADDRESS = {
    "serviceNamespace": "sagemaker",
    "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "resourceId": "endpoint/ep/variant/main",
}
TAGS = {"mlinfra_owner": "stack"}
ALARM = {
    "name": "mlinfra-ep-errors",
    "namespace": "AWS/SageMaker",
    "metricName": "Invocation5XXErrors",
    "statistic": "Sum",
    "dimensions": {"EndpointName": "ep", "VariantName": "main"},
    "comparisonOperator": "GreaterThanThreshold",
    "threshold": 5.0,
    "period": 60.0,
    "evaluationPeriods": 2.0,
    "treatMissingData": "notBreaching",
    "tags": TAGS,
}
TARGET = {**ADDRESS, "minCapacity": 1.0, "maxCapacity": 3.0, "tags": TAGS}
POLICY = {
    **ADDRESS,
    "name": "scaling",
    "policyType": "TargetTrackingScaling",
    "targetTrackingScalingPolicyConfiguration": {
        "targetValue": 600.0,
        "scaleInCooldown": 300.0,
        "predefinedMetricSpecification": {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    },
}
CANARY = {
    "blueGreenUpdatePolicy": {
        "trafficRoutingConfiguration": {
            "type": "CANARY",
            "waitIntervalInSeconds": 300.0,
            "canarySize": {"type": "CAPACITY_PERCENT", "value": 50.0},
        },
        "terminationWaitInSeconds": 0.0,
    },
    "autoRollbackConfiguration": {"alarms": [{"alarmName": "mlinfra-ep-errors"}]},
}


@pytest.fixture
def emulator_settings() -> Settings:
    """So fast that nobody waits for a canary."""
    return Settings(delays_scale=0.0, speed=600.0)


def configuration(name, model):
    variant = {
        "variantName": "main",
        "modelName": model,
        "instanceType": "ml.m5.large",
        "initialInstanceCount": 2.0,
    }
    inputs = {"name": name, "productionVariants": [variant], "tags": TAGS}
    return Declared("aws:sagemaker/endpointConfiguration:EndpointConfiguration", inputs, name)


def endpoint(config, **inputs):
    inputs = {"name": "ep", "endpointConfigName": config, "tags": TAGS, **inputs}
    return Declared("aws:sagemaker/endpoint:Endpoint", inputs, "ep")


def test_it_serves_changes_scales_and_goes(hosting, emulator):
    _, cloud = emulator.provisioner()
    hosting.model("better")
    made = [
        configuration("one", "good"),
        configuration("two", "better"),
        endpoint("one", deploymentConfig=CANARY),
        Declared("aws:cloudwatch/metricAlarm:MetricAlarm", ALARM, "mlinfra-ep-errors"),
        Declared("aws:appautoscaling/target:Target", TARGET, ADDRESS["resourceId"]),
        Declared("aws:appautoscaling/policy:Policy", POLICY, "scaling"),
    ]
    before = emulator.leftovers()
    for each in made:
        cloud.create(each)
    assert hosting.ask("ep")["model"] == "good"
    assert cloud.read(made[4]) == {"minCapacity": 1.0, "maxCapacity": 3.0}
    cloud.update(Declared(made[4].token, {**TARGET, "maxCapacity": 4.0}, made[4].id), TARGET)
    assert cloud.read(made[4]) == {"minCapacity": 1.0, "maxCapacity": 4.0}
    cloud.update(endpoint("two", deploymentConfig=CANARY), endpoint("one").inputs)
    assert hosting.ask("ep")["model"] == "better"
    for each in reversed(made):
        assert cloud.read(each) is not None
        cloud.delete(each)
        assert cloud.read(each) is None
    assert emulator.leftovers() == before


def test_an_update_that_names_an_alarm_that_is_not_there_is_refused(hosting, emulator):
    _, cloud = emulator.provisioner()
    for each in (configuration("one", "good"), configuration("two", "good"), endpoint("one")):
        cloud.create(each)
    with pytest.raises(Refused, match=r"Could not find CloudWatch alarm\(s\): mlinfra-ep-errors"):
        cloud.update(endpoint("two", deploymentConfig=CANARY), endpoint("one").inputs)
