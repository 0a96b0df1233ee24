"""SageMaker's endpoints on the emulator, through the suite that every platform must pass.

CloudWatch counts by the minute, so the emulator and the engine live in a time that runs faster than the machine's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Literal

import pytest

from mlinfra.emulator.aws import AwsEmulator
from mlinfra.emulator.faults import Fault
from mlinfra.emulator.settings import Settings
from mlinfra.engine.clock import Clock
from mlinfra.engine.deploy import deploy
from mlinfra.engine.endpoint_changes import delete
from mlinfra.engine.endpoints import find, invoke, logs, show
from mlinfra.engine.replay import replay
from mlinfra.engine.session import open_session
from mlinfra.environment import Observability
from mlinfra.errors import Denied, DeploymentFailed, InputRejected, RolledBack
from mlinfra.testing import EndpointSuite
from mlinfra.testing.base import Suite
from mlinfra.testing.endpoints import answer, champion, endpoint, register_stillborn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from mlinfra.engine.folders import Folders
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

pytestmark = pytest.mark.thorough

SPEED = 25.0


class EmulatedTime(Clock):
    """The engine's clock, going with the emulator's."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._clock = emulator.clock

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(max(0.0, seconds))


class OnTheEmulator:
    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AwsEmulator]:
        with AwsEmulator(tmp_path / "emulator", Settings(speed=SPEED)) as emulator:
            yield emulator

    @pytest.fixture
    def environment(self, emulator: AwsEmulator) -> Environment:
        return emulator.environment()

    @pytest.fixture
    def session(self, environment: Environment, folders: Folders, emulator: AwsEmulator) -> Iterator[Session]:
        clock = EmulatedTime(emulator)
        with open_session(environment, folders=folders, say=lambda _: None, clock=clock) as session:
            yield session


@pytest.mark.slow
class TestEndpoints(OnTheEmulator, EndpointSuite):
    pass


class TestOneRelease(OnTheEmulator, Suite):
    """What stands for the suite where there is no time for all of it."""

    test_a_version_takes_over = EndpointSuite.test_a_version_takes_over_step_by_step_without_a_failed_request


TWO = {"min": 2, "max": 2}
GUARDABLE = {"steps": ["10%", "100%"], "bake": "1m", "min_requests": 0, "on_no_data": "advance"}
ALARM = {"AlarmName": "errors-high", "StateReason": "somebody said so"}


@pytest.mark.slow
class TestWhatSageMakerAloneDoes(OnTheEmulator, Suite):
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

    def test_a_first_version_that_never_becomes_ready_leaves_nothing(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path
    ) -> None:
        register_stillborn(session, tmp_path)
        before = emulator.leftovers()
        with pytest.raises(DeploymentFailed):
            deploy(session, endpoint())
        assert emulator.leftovers() == before

    def test_what_it_captured_is_answered_again_bit_for_bit(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint(capture={"sample": "100%"}))
        for value in range(20):
            answer(session, float(value))
        with pytest.raises(InputRejected):
            invoke(session, "slopes", rows=[{"x": "plenty"}])
        session.clock.sleep(120.0)
        result = replay(session, "slopes")
        assert (result.asked, result.same) == (21, 21)  # the probe of the new deployment is a request as well
        delete(session, "slopes")

    def test_the_servers_words_are_read_from_its_log(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        (name,) = find(session, "slopes").traffic
        deadline = time.monotonic() + 20  # lines come a little later than what they tell of
        for deployment in (name, None):
            while not any("listening" in line.text for line in logs(session, "slopes", deployment=deployment)):
                assert time.monotonic() < deadline
                time.sleep(0.2)
        delete(session, "slopes")

    def test_the_call_that_it_shows_is_one_that_works(self, session: Session, tmp_path: Path) -> None:
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        known = show(session, "slopes").snippets
        keys = {f"AWS_{name.upper()}": text for name, text in session.environment.native["credentials"].items()}
        child = subprocess.run(
            [sys.executable, "-c", known.python], env=os.environ | keys, capture_output=True, text=True, check=True
        )
        assert child.stdout.strip() == "{'predictions': [2.0]}"
        subprocess.run(["/bin/sh", "-n", "-c", known.curl], check=True)
        delete(session, "slopes")


def raise_alarm(session: Session, name: str) -> None:
    """Set the alarm off as soon as the platform's own change is under way."""
    deadline = time.monotonic() + 120
    sagemaker, cloudwatch = (session.client._client(service) for service in ("sagemaker", "cloudwatch"))
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Updating":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cloudwatch.set_alarm_state(**ALARM, StateValue="ALARM")


EFFECTS = (
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
    "DeleteEndpoint",
    "DeleteEndpointConfig",
    "DeleteModel",
)


def left_over(emulator: AwsEmulator) -> list[str]:
    """What stands behind no endpoint any more; registered versions stay."""
    return [arn for arn in emulator.leftovers() if ":model-package" not in arn]


@pytest.mark.slow
class TestWhenThingsGoWrong(OnTheEmulator, Suite):
    def live(self, session: Session, tmp_path: Path) -> None:
        """A whole life: made, replaced, deleted."""
        champion(session, tmp_path, 2.0)
        deploy(session, endpoint())
        assert answer(session, 1.0) == [2.0]
        champion(session, tmp_path, 3.0)
        deploy(session, endpoint())
        assert answer(session, 1.0) == [3.0]
        assert delete(session, "slopes")

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_every_connection_breaks_once(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path, when: Literal["before", "after"]
    ) -> None:
        emulator.faults.script(
            [Fault(service="sagemaker", operation=name, nth=1, when=when, do="cut") for name in EFFECTS]
        )
        self.live(session, tmp_path)
        assert {entry.operation for entry in emulator.ledger.calls("sagemaker") if entry.outcome == "cut"} == set(
            EFFECTS
        )
        assert left_over(emulator) == []

    def test_every_operation_is_throttled_once(self, session: Session, emulator: AwsEmulator, tmp_path: Path) -> None:
        throttled = {"do": "fail", "code": "ThrottlingException", "message": "Rate exceeded", "status": 400}
        emulator.faults.script(
            [Fault(service="sagemaker", operation=name, nth=1, when="before", **throttled) for name in EFFECTS]
        )
        self.live(session, tmp_path)
        refused = {entry.operation for entry in emulator.ledger.calls("sagemaker") if entry.outcome != "ok"}
        assert refused >= set(EFFECTS)
        assert left_over(emulator) == []

    @pytest.mark.parametrize("operation", [*EFFECTS, "DescribeEndpoint", "ListModels", "InvokeEndpoint"])
    def test_a_permission_that_is_missing_is_named(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path, operation: str
    ) -> None:
        identity = session.environment.identities["deployer"]
        with emulator.policy.without(identity, f"sagemaker:{operation}"), pytest.raises(Denied, match=operation):
            self.live(session, tmp_path)


@pytest.mark.slow
class TestListsThatLag(OnTheEmulator, Suite):
    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Iterator[AwsEmulator]:
        with AwsEmulator(tmp_path / "emulator", Settings(speed=SPEED, list_lag=20.0)) as emulator:
            yield emulator

    def test_what_lists_do_not_show_yet_is_made_once_and_what_they_still_show_is_no_fault(
        self, session: Session, emulator: AwsEmulator, tmp_path: Path
    ) -> None:
        TestWhenThingsGoWrong().live(session, tmp_path)
        assert left_over(emulator) == []
