"""The one error of the runner, with the exit code that the job ends with."""

from __future__ import annotations

WRONG = 2  # the manifest asks for what cannot be
DENIED = 3
MISSING = 4
DAMAGED = 1  # bytes are not the bytes that were promised
TEMPORARY = 75  # the same job may succeed later


class RunnerError(Exception):
    """A job that ends before or after the user's command, and why. The text is for people."""

    def __init__(self, what: str, exit_code: int) -> None:
        super().__init__(what)
        self.exit_code = exit_code


class Stopped(Exception):
    """The job was asked to stop while no command was running."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number
