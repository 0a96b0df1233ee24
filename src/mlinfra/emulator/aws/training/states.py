"""The statuses of a training job: their words, what the service says in each, how long each lasts, what was passed.

The words are the enumerations of botocore's `sagemaker` description, which also names the three secondary statuses
that the service no longer reports; `FORMER` walks through those as it once did. The messages are the ones that the
service shows in its console.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

IN_PROGRESS, STOPPING, DELETING = "InProgress", "Stopping", "Deleting"
COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
ENDED = frozenset({COMPLETED, FAILED, STOPPED})

MAX_RUNTIME, MAX_WAIT = "MaxRuntimeExceeded", "MaxWaitTimeExceeded"
INTERRUPTED, RESTARTING, UPDATING = "Interrupted", "Restarting", "Updating"
PENDING, DOWNLOADING, TRAINING, UPLOADING = "Pending", "Downloading", "Training", "Uploading"

PRIMARY: Mapping[str, str] = {
    STOPPING: STOPPING,
    COMPLETED: COMPLETED,
    FAILED: FAILED,
    STOPPED: STOPPED,
    MAX_RUNTIME: STOPPED,
    MAX_WAIT: STOPPED,
}  # what the other secondary statuses mean is told by the job's primary one: it is in progress, or stopping

# Virtual seconds. The service takes minutes where these take seconds; the proportions are about its own.
DELAYS: Mapping[str, float] = {
    "training.Starting": 1.0,
    "training.Pending": 1.0,
    "training.Preparing": 2.0,
    "training.Downloading": 0.5,
    "training.Image": 1.5,
    "training.Uploading": 0.5,
    "training.Stopping": 0.5,
    "training.Interrupted": 3.0,
    "training.Restarting": 1.0,
    "training.Updating": 0.5,
    "training.Deleting": 0.5,
}
GRACE = 120.0  # virtual seconds between SIGTERM and SIGKILL, by the description of StopTrainingJob


class Stage(NamedTuple):
    """A status with its message, and the name of its length in `DELAYS`."""

    status: str
    message: str
    delay: str


class Script(NamedTuple):
    """The stages before the work: on fresh instances, on a warm pool's, and of the image's download."""

    cold: tuple[Stage, ...]
    warm: tuple[Stage, ...]
    image: Stage


_BEGIN = Stage("Starting", "Starting the training job", "training.Starting")
WAITING = "Training job waiting for capacity"
NO_CAPACITY = "Insufficient capacity error from EC2 while launching instances, retrying!"
_PREPARING = "Preparing the instances for training"
_IMAGE = "Downloading the training image"

TODAY = Script(
    cold=(_BEGIN, Stage(PENDING, WAITING, "training.Pending"), Stage(PENDING, _PREPARING, "training.Preparing")),
    warm=(_BEGIN,),
    image=Stage(DOWNLOADING, _IMAGE, "training.Image"),
)
FORMER = Script(
    cold=(
        _BEGIN,
        Stage("LaunchingMLInstances", "Launching requested ML instances", "training.Pending"),
        Stage("PreparingTrainingStack", _PREPARING, "training.Preparing"),
    ),
    warm=(_BEGIN,),
    image=Stage("DownloadingTrainingImage", _IMAGE, "training.Image"),
)

DATA = Stage(DOWNLOADING, "Downloading input data", "training.Downloading")
UPLOAD = Stage(UPLOADING, "Uploading generated training model", "training.Uploading")
HALT = Stage(STOPPING, "Stopping the training job", "training.Stopping")
LOST = Stage(INTERRUPTED, "Training job interrupted: the managed spot instances were reclaimed", "training.Interrupted")
AGAIN = Stage(RESTARTING, "Restarting the training job", "training.Restarting")
UPDATE = Stage(UPDATING, "Updating the training job", "training.Updating")
IN_TRAINING = "Training image download completed. Training in progress."
LAST_WORDS: Mapping[str, str] = {
    COMPLETED: "Training job completed",
    FAILED: "Training job failed",
    STOPPED: "Training job stopped",
    MAX_RUNTIME: "Training job runtime exceeded MaxRuntimeInSeconds provided",
    MAX_WAIT: "Training job exceeded MaxWaitTimeInSeconds provided",
}


@dataclass
class Transition:
    """One secondary status while it lasted. The message changes within it."""

    status: str
    start: datetime
    message: str
    end: datetime | None = None

    def document(self) -> dict[str, Any]:
        """As DescribeTrainingJob tells it."""
        told: dict[str, Any] = {"Status": self.status, "StartTime": self.start, "StatusMessage": self.message}
        return {**told, "EndTime": self.end} if self.end else told


@dataclass
class History:
    """The secondary statuses that a job has passed, oldest first."""

    transitions: list[Transition] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The secondary status at present."""
        return self.transitions[-1].status

    def enter(self, status: str, message: str, at: datetime) -> None:
        """Change the status, or the message where the status stays. An ending status ends at once."""
        if self.transitions and self.transitions[-1].end is None:
            if self.status == status:
                self.transitions[-1].message = message
                return
            self.transitions[-1].end = at
        ended = PRIMARY.get(status) in ENDED
        self.transitions.append(Transition(status, at, message, at if ended else None))

    def document(self) -> list[dict[str, Any]]:
        """As DescribeTrainingJob tells it."""
        return [transition.document() for transition in self.transitions]
