"""Why a job ends otherwise than well: the `error` of its run, as the run history tells it.

`code` is what `RootError` of the run history's description calls the service-defined code: UserError for whatever the
job's owner did, ServiceError for the service itself. The sentences are those that it shows; it publishes no list.
"""

from __future__ import annotations

from mlinfra.emulator.azure.jobs.states import CANCELED, FAILED

_USER, _SERVICE = "UserError", "ServiceError"
_SIGKILL = 137  # 128 and the signal's number, as shells tell it
_LONGEST_TAIL = 4000  # characters of what the process wrote last
_LOGS = (
    "Please check error and fix your code. You can refer to https://aka.ms/azureml-run-troubleshooting for more "
    "details."
)


class JobEnd(Exception):
    """A job comes to this end; `state` is its last one, `code` and `message` its error's, `kind` the inner code."""

    def __init__(self, state: str, code: str = "", message: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.state = state
        self.code = code
        self.message = message
        self.kind = kind


def cancelled() -> JobEnd:
    """As a user wished."""
    return JobEnd(CANCELED)


def timed_out(seconds: float) -> JobEnd:
    """`limits.timeout` has passed: the service cancels the job then."""
    message = f"The job exceeded its maximum duration of {seconds:g} seconds (limits.timeout) and was canceled."
    return JobEnd(CANCELED, _USER, message, "JobTimeout")


def exited(exit_code: int, tail: str) -> JobEnd:
    """A process ended badly."""
    if exit_code == _SIGKILL:
        message = (
            "The process was terminated with exit code 137 (SIGKILL), most likely because the node ran out of memory. "
        )
        return JobEnd(FAILED, _USER, message + _LOGS, "OutOfMemory")
    told = f" Error: {tail[-_LONGEST_TAIL:]}" if tail else ""
    message = f"Execution failed. User process exited with status code {exit_code}.{told} {_LOGS}"
    return JobEnd(FAILED, _USER, message, "ExecutionFailed")


def stockout(size: str) -> JobEnd:
    """No machine was to be had, and nobody waits for one."""
    message = f"Not enough capacity is available for the VM size {size or 'asked for'} in this region."
    return JobEnd(FAILED, _USER, message, "AllocationFailed")


def out_of_quota(size: str) -> JobEnd:
    """The subscription has no cores left of that kind."""
    message = f"The specified subscription has a quota too small for the VM size {size or 'asked for'}."
    return JobEnd(FAILED, _USER, message, "ClusterCoreQuotaReached")


def internal() -> JobEnd:
    """The service's own fault."""
    return JobEnd(FAILED, _SERVICE, "Internal error. Please retry the operation.", "InternalServerError")


def no_data(name: str, reason: str) -> JobEnd:
    """An input could not be brought, or an output not be taken away."""
    message = f"Failed to access the data of {name}: {reason}"
    return JobEnd(FAILED, _USER, message, "DataAccessError")


def no_image(reason: str) -> JobEnd:
    """The image cannot be had, or built."""
    return JobEnd(FAILED, _USER, f"Image pull or build failed: {reason}", "ImageError")


def unusable(reason: str) -> JobEnd:
    """This machine cannot do what the service could."""
    return JobEnd(FAILED, _SERVICE, f"This emulator's machine cannot run the job: {reason}", "NotEmulated")
