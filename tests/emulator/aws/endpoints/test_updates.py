"""Updates under traffic: how it moves, what may go wrong, and that no request fails because of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from mlinfra.emulator.settings import Settings

pytestmark = pytest.mark.thorough


class Load:
    """Requests at a steady rate from several threads until the end of the block, each answer noted."""

    def __init__(self, hosting, rate=50.0, threads=4):
        self._emulator, self._keys = hosting.emulator, hosting.emulator.credentials("deployer")
        self._pause, self._stop = threads / rate, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.answers = []  # (moment, "" or the code of an error, the body)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        runtime = boto3.client(
            "sagemaker-runtime",
            endpoint_url=self._emulator.url,
            region_name="eu-west-1",
            aws_access_key_id=self._keys.access_key_id,
            aws_secret_access_key=self._keys.secret_access_key,
            aws_session_token=self._keys.session_token or None,
            config=Config(retries={"total_max_attempts": 1}),
        )
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                body = runtime.invoke_endpoint(EndpointName="ep", Body=b"{}")["Body"].read()
                self.answers.append((time.monotonic(), "", body))
            except ClientError as exc:
                self.answers.append((time.monotonic(), exc.response["Error"]["Code"], b""))
            due += self._pause
            time.sleep(max(0.0, due - time.monotonic()))

    @property
    def codes(self):
        return Counter(code for _, code, _ in self.answers)


def alarm(client, name="errors", **members):
    settings = {
        "AlarmName": name,
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": [{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "main"}],
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.01,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    client("cloudwatch").put_metric_alarm(**{**settings, **members})


def blue_green(kind="ALL_AT_ONCE", wait=60, alarms=(), **sizes):
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **sizes}
    config = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


@pytest.fixture
def serving(hosting):
    """The endpoint `ep` with the model `good`, and a configuration `second` with the model `better`."""
    hosting.config("first")
    hosting.endpoint("ep", "first")
    hosting.model("better")
    hosting.config("second", {"ModelName": "better"})
    return hosting


def test_an_update_replaces_the_fleet_and_fails_no_request(serving):
    with Load(serving, rate=100) as load:
        serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second")
        told = serving.sagemaker.describe_endpoint(EndpointName="ep")
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Updating", "first")
        assert told["PendingDeploymentSummary"]["EndpointConfigName"] == "second"
        with pytest.raises(ClientError, match='Cannot update in-progress endpoint "arn:aws:sagemaker'):
            serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            serving.sagemaker.delete_endpoint(EndpointName="ep")
        told = serving.settled("ep")
    assert told["EndpointConfigName"] == "second"
    assert "PendingDeploymentSummary" not in told
    assert serving.ask("ep")["model"] == "better"
    assert set(load.codes) == {""}
    assert len(load.answers) > 20


def test_a_version_that_never_gets_ready_is_rolled_back_and_fails_no_request(serving):
    serving.model("sick", PING="500")
    serving.config("third", {"ModelName": "sick", "ContainerStartupHealthCheckTimeoutInSeconds": 60})
    with Load(serving, rate=100) as load:
        serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="third")
        serving.advancing(30)
    told = serving.settled("ep")
    assert told["EndpointConfigName"] == "first"
    assert "did not pass the ping health check" in told["FailureReason"]
    assert set(load.codes) == {""}
    assert len(serving.emulator.host.call("ListEndpoints")["endpoints"][0]["deployments"]) == 1


def test_a_canary_has_its_share_while_it_bakes(serving):
    policy = blue_green("CANARY", 600, CanarySize=percent(20))
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second", DeploymentConfig=policy)

    def status(told):
        variants = told.get("PendingDeploymentSummary", {}).get("ProductionVariants", [{}])
        return variants[0].get("VariantStatus", [{}])[0].get("Status")

    told = serving.until("ep", lambda told: status(told) == "Baking")
    assert told["PendingDeploymentSummary"]["ProductionVariants"][0]["CurrentWeight"] == pytest.approx(0.2)
    models = Counter(serving.ask("ep")["model"] for _ in range(50))
    assert models == {"good": 40, "better": 10}
    serving.emulator.clock.advance(600)
    serving.until("ep", lambda _told: serving.ask("ep")["model"] == "better")
    serving.emulator.clock.advance(600)
    assert serving.settled("ep")["LastDeploymentConfig"]["BlueGreenUpdatePolicy"] == policy["BlueGreenUpdatePolicy"]
    assert {serving.ask("ep")["model"] for _ in range(10)} == {"better"}


def test_linear_steps_are_equal(serving):
    policy = blue_green("LINEAR", 600, LinearStepSize=percent(50))
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second", DeploymentConfig=policy)
    serving.until("ep", lambda _told: {serving.ask("ep")["model"] for _ in range(2)} == {"good", "better"})
    assert Counter(serving.ask("ep")["model"] for _ in range(20)) == {"good": 10, "better": 10}
    serving.emulator.clock.advance(601)
    serving.until("ep", lambda _told: {serving.ask("ep")["model"] for _ in range(2)} == {"better"})
    serving.advancing(601)
    assert serving.settled("ep")["EndpointConfigName"] == "second"


def test_a_rolling_update_never_has_more_than_a_batch_beside_the_fleet(serving, client):
    serving.config("wide", {"InitialInstanceCount": 2})
    serving.config("wide-better", {"InitialInstanceCount": 2, "ModelName": "better"})
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="wide")
    serving.settled("ep")
    policy = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 600}}
    with Load(serving) as load:
        serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="wide-better", DeploymentConfig=policy)
        serving.until("ep", lambda _told: {serving.ask("ep")["model"] for _ in range(2)} == {"good", "better"})
        assert Counter(serving.ask("ep")["model"] for _ in range(20))["better"] in range(5, 16)
        told = serving.sagemaker.describe_endpoint(EndpointName="ep")
        pending = told["PendingDeploymentSummary"]["ProductionVariants"][0]
        counts = (told["ProductionVariants"][0]["CurrentInstanceCount"], pending["CurrentInstanceCount"])
        assert counts == (2, 1)
        serving.emulator.clock.advance(601)
        serving.until("ep", lambda told: told["ProductionVariants"][0]["CurrentInstanceCount"] == 1)
        serving.advancing(601)
    assert serving.settled("ep")["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert set(load.codes) == {""}


class TestInQuickTime:
    """A minute of the emulator lasts a second."""

    @pytest.fixture
    def emulator_settings(self):
        return Settings(delays_scale=0.0, speed=60.0)

    def test_a_version_that_answers_errors_trips_its_alarm_and_costs_no_more_than_its_share(self, serving, client):
        serving.model("bad", STATUS="500")
        serving.config("third", {"ModelName": "bad"})
        alarm(client)
        policy = blue_green("CANARY", 3600, ["errors"], CanarySize=percent(10))
        with Load(serving, rate=200, threads=8) as load:
            serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="third", DeploymentConfig=policy)
            serving.until("ep", lambda told: told["EndpointStatus"] == "RollingBack")
            told = serving.settled("ep")
            back = time.monotonic()
            time.sleep(0.5)
        assert told["EndpointConfigName"] == "first"
        assert "errors" in told["FailureReason"]
        assert set(load.codes) == {"", "ModelError"}
        first = next(at for at, code, _ in load.answers if code)
        last = max(at for at, code, _ in load.answers if code)
        shared = [code for at, code, _ in load.answers if first <= at <= last]
        assert shared.count("ModelError") <= 0.1 * len(shared) + 8
        assert last <= back
        assert last - first < 2.5  # one period of a second, the rest of the one before, and the look at the alarm

    def test_an_alarm_that_is_set_by_hand_rolls_back(self, serving, client):
        alarm(client)
        policy = blue_green("ALL_AT_ONCE", 3600, ["errors"])
        serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second", DeploymentConfig=policy)
        serving.until("ep", lambda _told: serving.ask("ep")["model"] == "better")
        client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a rehearsal")
        told = serving.settled("ep")
        assert (told["EndpointConfigName"], serving.ask("ep")["model"]) == ("first", "good")

    def test_quiet_alarms_let_the_update_through(self, serving, client):
        alarm(client)
        policy = blue_green("CANARY", 60, ["errors"], CanarySize=percent(50))
        serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second", DeploymentConfig=policy)
        assert serving.settled("ep")["EndpointConfigName"] == "second"


def test_a_deployment_that_does_not_suit_the_endpoint_is_refused_at_once(serving, client):
    def refused(match, config):
        with pytest.raises(ClientError, match=match) as caught:
            serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second", DeploymentConfig=config)
        assert caught.value.response["Error"]["Code"] == "ValidationException"

    refused("canary size must be at most 50%", blue_green("CANARY", 60, CanarySize=percent(60)))
    refused("linear step size must be 10% to 50%", blue_green("LINEAR", 60, LinearStepSize=percent(5)))
    refused("CanarySize is required", blue_green("CANARY", 60))
    refused("Could not find CloudWatch alarm", blue_green(alarms=["nobody"]))
    both = blue_green() | {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 0}}
    refused("Only one update policy", both)
    assert serving.settled("ep")["EndpointConfigName"] == "first"


def test_retained_properties_outlive_the_configurations_own(serving):
    wish = [{"VariantName": "main", "DesiredWeight": 5.0, "DesiredInstanceCount": 2}]
    serving.sagemaker.update_endpoint_weights_and_capacities(EndpointName="ep", DesiredWeightsAndCapacities=wish)
    serving.settled("ep")
    serving.config("more", {"ModelName": "better"}, {"VariantName": "new", "InitialVariantWeight": 0.0})
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="more", RetainAllVariantProperties=True)
    main, new = serving.settled("ep")["ProductionVariants"]
    assert (main["CurrentWeight"], main["CurrentInstanceCount"]) == (5.0, 2)
    assert (new["CurrentWeight"], new["CurrentInstanceCount"]) == (0.0, 1)
    assert {serving.ask("ep")["variant"] for _ in range(5)} == {"main"}
    assert serving.ask("ep", TargetVariant="new")["variant"] == "new"

    serving.sagemaker.update_endpoint(
        EndpointName="ep",
        EndpointConfigName="more",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    main, _ = serving.settled("ep")["ProductionVariants"]
    assert (main["CurrentWeight"], main["CurrentInstanceCount"]) == (5.0, 1)


def test_weights_move_traffic_without_new_servers(serving):
    serving.config("ab", {}, {"VariantName": "b", "ModelName": "better"})
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="ab")
    serving.settled("ep")
    before = {serving.ask("ep")["process"] for _ in range(4)}
    wish = [{"VariantName": "main", "DesiredWeight": 1.0}, {"VariantName": "b", "DesiredWeight": 4.0}]
    serving.sagemaker.update_endpoint_weights_and_capacities(EndpointName="ep", DesiredWeightsAndCapacities=wish)
    serving.settled("ep")
    asked = [serving.ask("ep") for _ in range(50)]
    assert Counter(told["variant"] for told in asked) == {"main": 10, "b": 40}
    assert {told["process"] for told in asked} == before


def test_instances_beyond_the_accounts_limit_are_refused(serving):
    serving.emulator.quotas.ceiling("ml.m5.large for endpoint usage", 2)
    serving.config("wide", {"InitialInstanceCount": 2})
    for call in (
        lambda: serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="wide"),
        lambda: serving.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="wide"),
        lambda: serving.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="ep", DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 3}]
        ),
    ):
        with pytest.raises(ClientError, match=r"'ml\.m5\.large for endpoint usage' is 2 Instances") as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="second")
    assert serving.settled("ep")["EndpointConfigName"] == "second"


def test_a_rolling_update_whose_rollback_fails_leaves_a_mix_that_another_update_mends(serving, client, monkeypatch):
    serving.config("wide", {"InitialInstanceCount": 2})
    serving.config("wide-better", {"InitialInstanceCount": 2, "ModelName": "better"})
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="wide")
    serving.settled("ep")
    alarm(client)
    policy = {
        "RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 600},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="wide-better", DeploymentConfig=policy)
    serving.until("ep", lambda _told: {serving.ask("ep")["model"] for _ in range(2)} == {"good", "better"})
    monkeypatch.setattr(serving.emulator.endpoints.fleets, "ready", lambda *_args, **_named: "no instances")
    client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a rehearsal")
    serving.until("ep", lambda told: told["EndpointStatus"] == "UpdateRollbackFailed")
    assert {serving.ask("ep")["model"] for _ in range(10)} == {"good", "better"}
    monkeypatch.undo()
    serving.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName="first")
    assert serving.settled("ep")["EndpointConfigName"] == "first"
    assert len(serving.emulator.host.call("ListEndpoints")["endpoints"][0]["deployments"]) == 1


def test_a_capacity_that_does_not_come_is_rolled_back(serving, monkeypatch):
    serving.model("late", PING="200")
    fleets = serving.emulator.endpoints.fleets
    answers = iter(["no instances", ""])
    monkeypatch.setattr(fleets, "ready", lambda *_args, **_named: next(answers))
    wish = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    serving.sagemaker.update_endpoint_weights_and_capacities(EndpointName="ep", DesiredWeightsAndCapacities=wish)
    told = serving.settled("ep")
    assert (told["ProductionVariants"][0]["DesiredInstanceCount"], told["FailureReason"]) == (1, "no instances")
    assert timedelta() <= told["LastModifiedTime"] - told["CreationTime"]


def test_the_execution_role_must_be_allowed_to_look_at_the_alarms(serving, client):
    alarm(client)
    server = serving.environment.identities["server"]
    members = {"EndpointName": "ep", "EndpointConfigName": "second", "DeploymentConfig": blue_green(alarms=["errors"])}
    with (
        serving.emulator.policy.without(server, "cloudwatch:DescribeAlarms"),
        pytest.raises(ClientError, match="mlinfra-server is not authorized to perform: cloudwatch:DescribeAlarms"),
    ):
        serving.sagemaker.update_endpoint(**members)
    serving.sagemaker.update_endpoint(**members)
