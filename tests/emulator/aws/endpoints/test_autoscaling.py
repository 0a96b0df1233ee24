"""Application Auto Scaling on variants: targets that exist, numbers of instances that follow the requests."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.thorough
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/ep/variant/main",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


@pytest.fixture
def scaling(hosting, client):
    hosting.config("first")
    hosting.endpoint("ep", "first")
    return client("application-autoscaling")


def test_a_target_is_a_variant_that_is_there(scaling):
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    for wrong in ({"ResourceId": "endpoint/ep/variant/nobody"}, {"ResourceId": "endpoint/nobody/variant/main"}):
        with pytest.raises(ClientError) as caught:
            scaling.register_scalable_target(**{**TARGET, **wrong}, MinCapacity=1, MaxCapacity=3)
        assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_registered_variant_is_not_removed(scaling, hosting):
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    hosting.config("renamed", {"VariantName": "other"})
    hosting.config("larger", {"InstanceType": "ml.m5.xlarge"})
    for config in ("renamed", "larger"):
        with pytest.raises(ClientError, match="must be deregistered as scalable targets with AWS Auto Scaling"):
            hosting.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName=config)
    scaling.deregister_scalable_target(**TARGET)
    hosting.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="renamed")
    assert hosting.settled("ep")["ProductionVariants"][0]["VariantName"] == "other"


def test_the_number_of_instances_follows_the_requests(scaling, hosting):
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    scaling.put_scaling_policy(
        **TARGET,
        PolicyName="follow",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 10.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 0,
        },
    )
    clock = hosting.emulator.clock
    clock.advance(60 - clock.now().timestamp() % 60)
    for _ in range(20):
        hosting.ask("ep")
    clock.advance(61)
    assert count(hosting, 2) == 2
    clock.advance(400)
    assert count(hosting, 1) == 1


def test_a_target_holds_its_bounds(scaling, hosting):
    scaling.register_scalable_target(**TARGET, MinCapacity=2, MaxCapacity=3)
    hosting.emulator.clock.advance(61)
    assert count(hosting, 2) == 2


def count(hosting, expected):
    """The instances in service, once there are so many, or after a while."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        told = hosting.sagemaker.describe_endpoint(EndpointName="ep")
        number = told["ProductionVariants"][0]["CurrentInstanceCount"]
        if (number, told["EndpointStatus"]) == (expected, "InService"):
            return number
        time.sleep(0.05)
    return number
