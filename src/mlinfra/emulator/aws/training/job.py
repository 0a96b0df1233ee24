"""A training job as the service keeps it: the request, where it stands, what came of it.

Every reader and writer of a job holds its `lock`; the run changes it, the operations read it and ask for changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.training import nodes as training_nodes
from mlinfra.emulator.aws.training import states
from mlinfra.emulator.aws.training.states import History, Stage
from mlinfra.emulator.aws.training.warm import WarmPool
from mlinfra.emulator.jobs.wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.aws.training.logs import Measured

_ECHOED = (
    "AlgorithmSpecification",
    "CheckpointConfig",
    "DebugHookConfig",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "EnableNetworkIsolation",
    "Environment",
    "ExperimentConfig",
    "HyperParameters",
    "InfraCheckConfig",
    "InputDataConfig",
    "OutputDataConfig",
    "ProfilerConfig",
    "RemoteDebugConfig",
    "ResourceConfig",
    "RetryStrategy",
    "RoleArn",
    "StoppingCondition",
    "TensorBoardOutputConfig",
    "TrainingJobName",
    "VpcConfig",
)  # members of the request that DescribeTrainingJob tells as they were given
_DEFAULTS: Mapping[str, Any] = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
    "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},  # by the description of MaxRuntimeInSeconds
}


@dataclass
class TrainingJob:
    """One job. `request` is validated and complete."""

    request: dict[str, Any]
    arn: str
    created: datetime
    history: History = field(default_factory=History)
    status: str = states.IN_PROGRESS
    modified: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    machine: str = ""  # the type chosen from InstancePreferences
    in_use: float = 0.0  # virtual seconds for which instances were held, over all attempts
    metrics: dict[str, Measured] = field(default_factory=dict)
    pool: WarmPool | None = None
    gone_at: float = 0.0  # the virtual second at which its deletion is done
    wishes: Wishes = field(default_factory=Wishes)
    lock: RLock = field(default_factory=RLock)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.request["TrainingJobName"])

    @property
    def role(self) -> str:
        """The ARN of its execution role."""
        return str(self.request["RoleArn"])

    @property
    def spot(self) -> bool:
        """Whether its instances may be reclaimed."""
        return bool(self.request["EnableManagedSpotTraining"])

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in states.ENDED

    @property
    def limits(self) -> dict[str, int]:
        """Its `StoppingCondition`."""
        return dict(self.request["StoppingCondition"])

    @property
    def keep_alive(self) -> int:
        """For how many seconds it keeps its instances after its end."""
        return int(self.request["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0))

    @property
    def output(self) -> str:
        """The prefix of its outputs, without a slash at the end."""
        return f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"

    @property
    def model(self) -> str:
        """Where its model is found: an archive, or a prefix where no compression was asked for."""
        plain = self.request["OutputDataConfig"].get("CompressionType", "GZIP") == "NONE"
        return f"{self.output}/model/" if plain else f"{self.output}/model.tar.gz"

    def enter(self, stage: Stage, at: datetime) -> None:
        """Come to a stage, with the primary status that it brings; one that is stopping goes on stopping."""
        with self.lock:
            self.history.enter(stage.status, stage.message, at)
            self.status = states.PRIMARY.get(stage.status, self.status)
            self.modified = at

    def end(self, status: str, at: datetime, reason: str = "") -> None:
        """Come to an end; `status` is the secondary one."""
        with self.lock:
            self.reason = reason
            self.ended = at
            if self.started and self.keep_alive and status == states.COMPLETED:
                self.pool = WarmPool(at, at + timedelta(seconds=self.keep_alive))
            self.enter(Stage(status, reason or states.LAST_WORDS[status], ""), at)

    def describe(self, now: datetime) -> dict[str, Any]:
        """The answer of DescribeTrainingJob."""
        with self.lock:
            told = {
                **{name: self.request[name] for name in _ECHOED if name in self.request},
                **self._summary(now),
                "ModelArtifacts": {"S3ModelArtifacts": self.model},
                "TrainingStartTime": self.started,
                "FailureReason": self.reason or None,
                "SecondaryStatusTransitions": self.history.document(),
                "FinalMetricDataList": [
                    {"MetricName": each.name, "Value": each.value, "Timestamp": each.at}
                    for each in self.metrics.values()
                ],
                "ProfilingStatus": self._profiling(),
                **self._times(now),
            }
            if self.machine:
                told["ResourceConfig"] = {**told["ResourceConfig"], **self._selected()}
            return {name: value for name, value in told.items() if value is not None}

    def summary(self, now: datetime) -> dict[str, Any]:
        """Its `TrainingJobSummary`."""
        with self.lock:
            return {name: value for name, value in self._summary(now).items() if value is not None}

    def warm_pool(self, now: datetime) -> dict[str, Any] | None:
        """Its `WarmPoolStatus`; None where it asked for none."""
        with self.lock:
            if self.pool:
                return self.pool.document(now)
            if not self.keep_alive:
                return None
            return {"Status": "Terminated" if self.has_ended else "InUse", "ResourceRetainedBillableTimeInSeconds": 0}

    def _summary(self, now: datetime) -> dict[str, Any]:
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "TrainingEndTime": self.ended if self.started else None,
            "LastModifiedTime": self.modified or self.created,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.history.status,
            "WarmPoolStatus": self.warm_pool(now),
        }

    def _times(self, now: datetime) -> dict[str, Any]:
        """Whole seconds, at least 1: the time since the instances were there, and the time for which they were."""
        if not self.started:
            return {}
        passed = ((self.ended or now) - self.started).total_seconds()
        told = {"TrainingTimeInSeconds": max(1, math.ceil(passed))}
        return {**told, "BillableTimeInSeconds": max(1, math.ceil(self.in_use))} if self.ended else told

    def _selected(self) -> dict[str, Any]:
        count = len(training_nodes.of(self.request["ResourceConfig"], self.machine))
        return {"SelectedInstanceType": self.machine, "SelectedInstanceCount": count}

    def _profiling(self) -> str | None:
        config = self.request.get("ProfilerConfig")
        return None if config is None else "Disabled" if config.get("DisableProfiler") else "Enabled"


def completed(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request with the service's defaults."""
    condition = {**_DEFAULTS["StoppingCondition"], **body.get("StoppingCondition", {})}
    return {**_DEFAULTS, **body, "StoppingCondition": condition}
