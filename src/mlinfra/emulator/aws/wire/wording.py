"""How the services of AWS word what all of them refuse: a missing permission, too many calls, a fault of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Call, Refusal

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Trouble
    from mlinfra.emulator.policy import Policy

_QUERY = {"iam", "sts", "cloudwatch"}
_BROKEN = "We encountered an internal error. Please try again."
_UNAVAILABLE = "Service is unable to handle request."
_INSUFFICIENT = "Insufficient capacity is available at present."


@dataclass(frozen=True)
class AwsCall(Call):
    """A call, with the caller as STS names it: the session of a role, where the policies are the role's."""

    caller: str = field(default="", kw_only=True)


class AwsWording:
    """`policy` tells a denial from a permission that is missing; without it every one is missing."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy

    def denied(self, call: Call, action: str, resource: str) -> Refusal:
        """S3 and the query services answer AccessDenied with 403, the others AccessDeniedException."""
        caller = call.caller if isinstance(call, AwsCall) and call.caller else call.principal
        explicit = bool(self._policy and self._policy.decide(call.principal, action, resource, call.context).denied)
        message = refusals.denial(caller, action, resource, explicit=explicit)
        if call.service == "s3" or call.service in _QUERY:
            return Refusal("AccessDenied", message, status=403)
        return Refusal("AccessDeniedException", message, status=403 if call.service == "sagemaker-runtime" else 400)

    def throttled(self, call: Call, retry_after: float) -> Refusal:  # noqa: ARG002  AWS does not say when
        """S3 answers SlowDown with 503, the query services Throttling, the others ThrottlingException with 400."""
        if call.service == "s3":
            return Refusal("SlowDown", "Please reduce your request rate.", status=503)
        code = "Throttling" if call.service in _QUERY else "ThrottlingException"
        return Refusal(code, "Rate exceeded")

    def broken(self, call: Call, kind: Trouble) -> Refusal:
        """A fault of the service, or the account at its limit."""
        if kind == "quota":
            return refusals.limit_exceeded(f"{call.operation} usage", 1, 1, unit="Units")
        if kind == "internal":
            return Refusal("InternalError" if call.service == "s3" else "InternalFailure", _BROKEN, status=500)
        message = _INSUFFICIENT if kind == "capacity" else _UNAVAILABLE
        return Refusal("ServiceUnavailable", message, status=503)
