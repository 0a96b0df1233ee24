"""Why a training job fails, in the service's words: the kinds of `FailureReason`.

A client's error is the request's or the role's, an algorithm's error the container's, an internal one the service's.
The kinds and their form are those that the service has shown for years; its API description names only the field.
"""

from __future__ import annotations

LONGEST_REASON = 1024  # characters, by the shape FailureReason
INTERNAL = "We encountered an internal error. Please try again."
CAPACITY = (
    "Unable to provision requested ML compute capacity. Please retry using a different ML instance type "
    "or a different availability zone."
)


class JobFault(Exception):
    """A job cannot go on."""

    kind = ""

    @property
    def reason(self) -> str:
        """The `FailureReason`."""
        return f"{self.kind}: {self}"[:LONGEST_REASON]


class ClientError(JobFault):
    """What the request names, or the role may do, is not there."""

    kind = "ClientError"


class CapacityError(JobFault):
    """No instances were to be had in time."""

    kind = "CapacityError"


class InternalServerError(JobFault):
    """The service's own fault; `RetryStrategy` tries again."""

    kind = "InternalServerError"


class AlgorithmError(JobFault):
    """The container ended badly."""

    kind = "AlgorithmError"

    def __init__(self, words: str, exit_code: int) -> None:
        super().__init__(words, exit_code)
        self._words = words
        self._end = f", exit code: {exit_code}"

    @property
    def reason(self) -> str:
        """The container's own words, cut so that the exit code fits behind them."""
        begin = f"{self.kind}: "
        room = LONGEST_REASON - len(begin) - len(self._end)
        return f"{begin}{self._words.strip()[:room]}{self._end}"
