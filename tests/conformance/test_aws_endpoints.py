"""What SageMaker's endpoints alone do, on the emulator; and one release of the suite, for the short run.

CloudWatch counts by the minute, so the emulator and the engine live in a time that runs faster than the machine's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.settings import Settings
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find
from mlinfra.environment import Observability
from mlinfra.errors import Denied, RolledBack
from mlinfra.testing import EndpointSuite
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint, register_broken
from mlinfra.testing.load import under_load

from .fast import SPEED, OnTheEmulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.contract.requests import Request
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

pytestmark = pytest.mark.thorough


class OnTheCloud(OnTheEmulator):
    platform = "aws"


class TestOneRelease(OnTheCloud, Suite):
    """What stands for the suite where there is no time for all of it."""

    test_a_version_takes_over = EndpointSuite.test_a_version_takes_over_step_by_step_without_a_failed_request


TWO = {"min": 2, "max": 2}
GUARDABLE = {"steps": ["10%", "100%"], "bake": "1m", "min_requests": 0, "on_no_data": "advance"}
ALARM = {"AlarmName": "errors-high", "StateReason": "somebody said so"}


@pytest.mark.slow
class TestWhatSageMakerAloneDoes(OnTheCloud, Suite):
    @pytest.fixture
    def staging(self, session: Session) -> Session:
        """The same in a stage that the platform's alarms watch."""
        observability = Observability(alarms={"error_rate above 1%": "errors-high"})
        session.client._client("cloudwatch").put_metric_alarm(
            AlarmName="errors-high",
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1e9,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
        changes = {"stage": "staging", "observability": observability}
        return replace(session, environment=session.environment.model_copy(update=changes))

    def test_its_own_guard_makes_the_change(self, staging: Session, tmp_path: Path) -> None:
        champion(staging, tmp_path, 2.0)
        deploy(staging, endpoint(rollout=GUARDABLE, scale=TWO))
        champion(staging, tmp_path, 3.0)
        outcome = deploy(staging, endpoint(rollout=GUARDABLE, scale=TWO))
        assert outcome.watched_by == "platform alarms"
        assert answer(staging, 1.0) == [3.0]
        (deployment,) = find(staging, "slopes").deployments
        assert deployment.native_id != deployment.name
        delete(staging, "slopes")

    def test_an_alarm_of_its_own_guard_is_a_rollback(self, staging: Session, tmp_path: Path) -> None:
        champion(staging, tmp_path, 2.0)
        deploy(staging, endpoint(rollout=GUARDABLE, scale=TWO))
        champion(staging, tmp_path, 3.0)
        alarm = Thread(target=raise_alarm, args=(staging, find(staging, "slopes").physical_name))
        alarm.start()
        with pytest.raises(RolledBack, match="errors-high"):
            deploy(staging, endpoint(rollout=GUARDABLE, scale=TWO))
        alarm.join()
        assert answer(staging, 1.0) == [2.0]
        assert len(find(staging, "slopes").deployments) == 1
        delete(staging, "slopes")

    def test_nothing_is_left_of_an_endpoint_that_was_scaled_rolled_out_and_deleted(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path
    ) -> None:
        champion(session, tmp_path, 2.0)
        champion(session, tmp_path, 3.0)
        before = emulator.leftovers()
        scale = {"min": 1, "max": 3, "per_replica": {"requests_per_minute": 600}}
        for version in ("slopes:1", "slopes:2"):
            deploy(session, endpoint(version, scale=scale))
        scaling = session.client._client("application-autoscaling")
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
        assert len(targets["ScalableTargets"]) == 1
        assert delete(session, "slopes")
        assert emulator.leftovers() == before


def raise_alarm(session: Session, name: str) -> None:
    """Set the alarm off as soon as the platform's own change is under way."""
    deadline = time.monotonic() + 120
    sagemaker, cloudwatch = (session.client._client(service) for service in ("sagemaker", "cloudwatch"))
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Updating":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cloudwatch.set_alarm_state(**ALARM, StateValue="ALARM")


HALVES = {**GUARDABLE, "steps": ["50%", "100%"], "bake": "3m"}  # so that the new version gets enough requests


@pytest.mark.slow
class TestAlarmsThatTheKitMakes(OnTheCloud, Suite):
    """In an environment that names no alarm at all, with the rights that `env permissions` prints and no others."""

    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AwsEmulator]:
        with AwsEmulator(tmp_path / "emulator", Settings(speed=SPEED / 2)) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: AwsEmulator, grant: Callable[..., None]) -> Environment:
        environment = emulator.environment()
        grant(emulator, environment)
        return environment

    @pytest.fixture
    def staging(self, session: Session) -> Session:
        return replace(session, environment=session.environment.model_copy(update={"stage": "staging"}))

    @pytest.fixture
    def deployed(self, staging: Session, tmp_path: Path) -> Session:
        """The first version serves."""
        champion(staging, tmp_path, 2.0)
        deploy(staging, endpoint(rollout=HALVES, scale=TWO))
        return staging

    def alarms(self, session: Session) -> list[dict[str, Any]]:
        told: dict[str, Any] = session.client._client("cloudwatch").describe_alarms(AlarmNamePrefix="mlinfra--")
        return list(told["MetricAlarms"])

    def test_a_version_that_answers_errors_is_taken_back_by_sagemaker_itself(
        self, deployed: Session, emulator: AwsEmulator, tmp_path: Path
    ) -> None:
        register_broken(deployed, tmp_path)
        with under_load(deployed, "slopes", {"x": 7.0}), pytest.raises(RolledBack, match="error_rate went into ALARM"):
            deploy(deployed, endpoint(rollout=HALVES, scale=TWO))
        assert answer(deployed, 1.0) == [2.0]
        assert self.alarms(deployed) == []
        delete(deployed, "slopes")
        assert left_over(emulator) == []

    def test_a_good_version_stays_and_its_alarm_with_it_until_the_endpoint_goes(
        self, deployed: Session, emulator: AwsEmulator, tmp_path: Path
    ) -> None:
        champion(deployed, tmp_path, 3.0)
        with under_load(deployed, "slopes", {"x": 7.0}) as load:
            outcome = deploy(deployed, endpoint(rollout=HALVES, scale=TWO))
        assert (outcome.watched_by, load.failed()) == ("platform alarms", {})
        assert answer(deployed, 1.0) == [3.0]
        (alarm,) = self.alarms(deployed)
        assert alarm["StateValue"] == "OK"
        delete(deployed, "slopes")
        assert self.alarms(deployed) == []
        assert left_over(emulator) == []

    def test_the_same_command_goes_on_after_a_kill_between_alarm_and_update(
        self, deployed: Session, emulator: AwsEmulator, tmp_path: Path
    ) -> None:
        champion(deployed, tmp_path, 3.0)
        doomed: Any = Doomed(deployed.client, at="UpdateEndpoint")
        with pytest.raises(Killed):
            deploy(replace(deployed, client=doomed), endpoint(rollout=HALVES, scale=TWO))
        (before,) = self.alarms(deployed)
        assert deploy(deployed, endpoint(rollout=HALVES, scale=TWO)).watched_by == "platform alarms"
        assert answer(deployed, 1.0) == [3.0]
        assert [each["AlarmName"] for each in self.alarms(deployed)] == [before["AlarmName"]]
        assert len(emulator.ledger.calls("cloudwatch", "PutMetricAlarm")) == 1
        delete(deployed, "slopes")
        assert left_over(emulator) == []

    @pytest.mark.parametrize("right", ["PutMetricAlarm", "TagResource"])
    def test_a_right_that_is_missing_is_named_before_anything_changes(
        self, deployed: Session, emulator: AwsEmulator, tmp_path: Path, right: str
    ) -> None:
        champion(deployed, tmp_path, 3.0)
        deployer = deployed.environment.identities["deployer"]
        with emulator.policy.without(deployer, f"cloudwatch:{right}"), pytest.raises(Denied, match=right):
            deploy(deployed, endpoint(rollout=HALVES, scale=TWO))
        assert answer(deployed, 1.0) == [2.0]
        assert emulator.ledger.calls("sagemaker", "UpdateEndpoint") == []
        delete(deployed, "slopes")
        assert left_over(emulator) == []


class Killed(BaseException):
    """The process ends here, as far as the code under test can tell."""


class Doomed:
    """A client whose process dies when it is to send that operation."""

    def __init__(self, client: Any, *, at: str) -> None:
        self._client = client
        self._at = at

    def send(self, request: Request) -> Any:
        if request.operation == self._at:
            raise Killed
        return self._client.send(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def left_over(emulator: AwsEmulator) -> list[str]:
    """What stands behind no endpoint any more; registered versions stay."""
    return [arn for arn in emulator.leftovers() if ":model-package" not in arn]
