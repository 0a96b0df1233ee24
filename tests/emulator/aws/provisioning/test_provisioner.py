"""Resources of a stack in the emulated account: really there, found changed, and gone with all that they hold."""

from __future__ import annotations

import json

import pytest

from mlinfra.emulator.provisioning import Declared, Refused

BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
KEY = "aws:kms/key:Key"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ENABLED = {"bucket": "acme-data", "versioningConfiguration": {"status": "Enabled"}}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def bucket(**inputs) -> Declared:
    return Declared(BUCKET, {"bucket": "acme-data", **inputs}, "acme-data")


def allowing(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def cloud(emulator):
    package, made_by = emulator.provisioner()
    assert package == "aws"
    return made_by


def test_a_bucket_goes_with_every_version_that_it_holds(cloud, emulator, client):
    cloud.create(bucket(forceDestroy=True))
    cloud.create(Declared(VERSIONING, ENABLED, "acme-data"))
    for text in (b"one", b"two"):
        emulator.storage.write("s3://acme-data/a", text)
    cloud.delete(bucket(forceDestroy=True))
    assert cloud.read(bucket()) is None
    cloud.delete(bucket(forceDestroy=True))


def test_a_bucket_that_may_not_lose_what_it_holds_stays(cloud, emulator):
    cloud.create(bucket())
    emulator.storage.write("s3://acme-data/a", b"one")
    with pytest.raises(Refused, match="BucketNotEmpty"):
        cloud.delete(bucket())
    assert cloud.read(bucket()) is not None


def test_a_second_one_of_a_name_is_told_to_exist(cloud):
    cloud.create(Declared(ROLE, {"name": "trainer", "assumeRolePolicy": TRUST}, "trainer"))
    with pytest.raises(Refused) as caught:
        cloud.create(Declared(ROLE, {"name": "trainer", "assumeRolePolicy": TRUST}, "trainer"))
    assert caught.value.exists


def test_what_somebody_switched_off_is_read_as_it_is(cloud):
    cloud.create(bucket())
    cloud.create(Declared(VERSIONING, ENABLED, "acme-data"))
    cloud.delete(Declared(VERSIONING, ENABLED, "acme-data"))
    found = cloud.read(Declared(VERSIONING, ENABLED, "acme-data"))
    assert found == {"versioningConfiguration": {"status": "Suspended"}}


def test_a_changed_policy_is_read_as_drift_and_mended(cloud):
    wanted = {"role": "trainer", "name": "mlinfra", "policy": allowing("s3:GetObject")}
    cloud.create(Declared(ROLE, {"name": "trainer", "assumeRolePolicy": TRUST}, "trainer"))
    cloud.create(Declared(ROLE_POLICY, wanted, "trainer:mlinfra"))
    assert cloud.read(Declared(ROLE_POLICY, wanted, "trainer:mlinfra")) == {}
    other = {**wanted, "policy": allowing("s3:*")}
    cloud.update(Declared(ROLE_POLICY, other, "trainer:mlinfra"), wanted)
    assert cloud.read(Declared(ROLE_POLICY, wanted, "trainer:mlinfra")).keys() == {"policy"}


def test_a_key_has_the_accounts_own_id_and_rotates(cloud):
    made = cloud.create(Declared(KEY, {"enableKeyRotation": True}, "expected"))
    assert made.id != "expected"
    assert cloud.read(Declared(KEY, {"enableKeyRotation": True}, made.id)) == {"enableKeyRotation": True}
    cloud.delete(Declared(KEY, {}, made.id))
    assert cloud.read(Declared(KEY, {}, made.id)) is None


def test_a_role_of_a_stack_keeps_the_policies_that_the_stack_gave_it(cloud, emulator):
    arn = f"arn:aws:iam::{emulator.account}:role/acme-trainer"
    inputs = {"name": "acme-trainer", "assumeRolePolicy": TRUST, "tags": {"mlinfra_environment": "acme"}}
    cloud.create(Declared(ROLE, inputs, "acme-trainer"))
    emulator.environment("acme", identities={"trainer": arn})
    assert emulator.principals.role(arn).policies == {}


def test_an_alarm_is_made_changed_read_and_taken_away(cloud, emulator):
    query = {"id": "q", "expression": "SELECT AVG(load) FROM own", "period": 60.0, "returnData": True}
    inputs = {
        "name": "high",
        "metricQueries": [query],
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 0.5,
        "evaluationPeriods": 2.0,
        "alarmActions": ["arn:aws:sns:eu-west-1:111122223333:notices"],
        "tags": {"mlinfra_stage": "prod"},
    }
    made = cloud.create(Declared(ALARM, inputs, "high"))
    assert (made.id, made.outputs["arn"]) == ("high", emulator.place.arn("cloudwatch", "alarm:high"))
    shown = {
        name: value for name, value in inputs.items() if name not in {"name", "metricQueries", "evaluationPeriods"}
    }
    assert cloud.read(Declared(ALARM, inputs, "high")) == shown
    changed = {**inputs, "threshold": 0.75, "tags": {"mlinfra_stage": "dev"}}
    cloud.update(Declared(ALARM, changed, "high"), inputs)
    assert cloud.read(Declared(ALARM, inputs, "high")) == {**shown, "threshold": 0.75, "tags": {"mlinfra_stage": "dev"}}
    for _ in range(2):
        cloud.delete(Declared(ALARM, changed, "high"))
    assert cloud.read(Declared(ALARM, changed, "high")) is None


def test_an_alarm_on_a_metric_is_written_as_the_provider_has_it(cloud, client):
    inputs = {
        "name": "slow",
        "namespace": "AWS/SageMaker",
        "metricName": "ModelLatency",
        "extendedStatistic": "p99",
        "dimensions": {"EndpointName": "ep"},
        "period": 60.0,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 5.0,
        "evaluationPeriods": 1.0,
    }
    metric = {"namespace": "own", "metricName": "load", "dimensions": {"a": "b"}, "period": 60.0, "stat": "Sum"}
    math = [
        {"id": "m", "metric": metric, "returnData": False},
        {"id": "half", "expression": "m / 2", "returnData": True},
    ]
    single = {"namespace", "metricName", "extendedStatistic", "dimensions", "period"}
    rest = {name: value for name, value in inputs.items() if name not in single}
    cloud.create(Declared(ALARM, inputs, "slow"))
    cloud.create(Declared(ALARM, {**rest, "name": "half", "metricQueries": math}, "half"))
    half, slow = client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert slow["Dimensions"] == [{"Name": "EndpointName", "Value": "ep"}]
    stat = {"Namespace": "own", "MetricName": "load", "Dimensions": [{"Name": "a", "Value": "b"}]}
    assert half["Metrics"][0]["MetricStat"] == {"Metric": stat, "Period": 60, "Stat": "Sum"}
