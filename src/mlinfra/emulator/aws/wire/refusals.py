"""What SageMaker refuses, in its own codes and words.

Codes that an operation's description models (botocore, `errors`) are used where there are any; a missing or taken
name of a model, endpoint, configuration or package is a `ValidationException`, as the service answers it.
"""

from __future__ import annotations

from mlinfra.emulator.calls import Refusal

NOT_EMULATED = "NotEmulated"


def validation(message: str) -> Refusal:
    """The request breaks a rule of the service."""
    return Refusal("ValidationException", message)


def serialization(message: str = "") -> Refusal:
    """The request cannot be read as its description has it."""
    return Refusal("SerializationException", message)


def not_found(message: str = "Requested resource not found.") -> Refusal:
    """Jobs that are not there: the modelled ResourceNotFound."""
    return Refusal("ResourceNotFound", message)


def could_not_find(kind: str, arn: str) -> Refusal:
    """Models, endpoints and configurations that are not there: `could_not_find("model", arn)`."""
    return validation(f'Could not find {kind} "{arn}".')


def already_exists(kind: str, arn: str) -> Refusal:
    """Models, endpoints and configurations whose name is taken: `already_exists("endpoint", arn)`."""
    return validation(f'Cannot create already existing {kind} "{arn}".')


def in_use(message: str) -> Refusal:
    """Jobs whose name is taken, or that may not be changed now: the modelled ResourceInUse."""
    return Refusal("ResourceInUse", message)


def limit_exceeded(name: str, limit: int, used: int, more: int = 1, unit: str = "Instances") -> Refusal:
    """An account limit: `limit_exceeded("ml.m5.xlarge for training job usage", 4, 4)`."""
    return Refusal(
        "ResourceLimitExceeded",
        f"The account-level service limit '{name}' is {limit} {unit}, with current utilization of {used} {unit} "
        f"and a request delta of {more} {unit}. Please use AWS Service Quotas to request an increase for this quota. "
        "If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
    )


def conflict(message: str) -> Refusal:
    """Model packages, groups and pipelines: the modelled ConflictException."""
    return Refusal("ConflictException", message)


def access_denied(caller: str, action: str, resource: str, *, explicit: bool = False) -> Refusal:
    """A permission that is missing, or denied."""
    return Refusal("AccessDeniedException", denial(caller, action, resource, explicit=explicit))


def denial(caller: str, action: str, resource: str, *, explicit: bool = False) -> str:
    """How every service words it."""
    cause = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {action} action"
    )
    return f"User: {caller} is not authorized to perform: {action} on resource: {resource} {cause}"


def not_emulated(what: str) -> Refusal:
    """Something the emulator does not do. It says so and never invents a success."""
    return Refusal(NOT_EMULATED, f"{what} is not emulated", status=501)
