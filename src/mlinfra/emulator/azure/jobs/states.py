"""The states of a job: which are ends, how long each lasts, and what may be asked in them.

The states are those of `JobStatus` in azure-ai-ml's generated client, which tells what each means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPLETED, FAILED, CANCELED = "Completed", "Failed", "Canceled"
NOT_RESPONDING, PAUSED = "NotResponding", "Paused"
ENDED = frozenset({COMPLETED, FAILED, CANCELED})

# Virtual seconds. The service takes minutes where these take seconds; the proportions are about its own.
DELAYS: Mapping[str, float] = {
    "jobs.NotStarted": 0.3,
    "jobs.Preparing": 1.0,
    "jobs.Provisioning": 2.0,
    "jobs.Queued": 1.0,
    "jobs.Requeued": 3.0,
    "jobs.Starting": 0.5,
    "jobs.Finalizing": 0.5,
    "jobs.CancelRequested": 0.5,
    "jobs.Deleting": 0.5,
}
GRACE = 30.0  # virtual seconds between SIGTERM and SIGKILL


class Stage(NamedTuple):
    """A state, and the name of its length in `DELAYS`."""

    state: str
    delay: str = ""


NOT_STARTED = Stage("NotStarted", "jobs.NotStarted")
PREPARING = Stage("Preparing", "jobs.Preparing")
PROVISIONING = Stage("Provisioning", "jobs.Provisioning")
QUEUED = Stage("Queued", "jobs.Queued")
REQUEUED = Stage("Queued", "jobs.Requeued")
STARTING = Stage("Starting", "jobs.Starting")
RUNNING = Stage("Running")
FINALIZING = Stage("Finalizing", "jobs.Finalizing")
CANCEL_REQUESTED = Stage("CancelRequested", "jobs.CancelRequested")
