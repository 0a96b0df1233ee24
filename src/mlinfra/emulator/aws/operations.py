"""What an operation is here: its name, what answers it, and on which resource the permission is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator

ANY = "*"


@dataclass(frozen=True)
class Request:
    """A validated request: times are datetimes, blobs bytes, members that were null are absent."""

    body: dict[str, Any]
    principal: str  # in whose name permissions are asked: the ARN of a user or of a role
    caller: str = ""  # as GetCallerIdentity names it: the user, or the role's session
    call: Call = field(default_factory=lambda: Call("sagemaker", ""))  # for further permissions: `desk.allow(call, …)`


def anything(_body: Mapping[str, Any]) -> str:
    """For operations whose permission knows no resource."""
    return ANY


@dataclass(frozen=True)
class Operation:
    """One operation.

    `resource` gets the body, read but not yet checked against its rules, and returns an ARN, the part of one after
    the account (`training-job/name`), or "*" where the service's authorisation reference names no resource.
    """

    name: str
    handle: Callable[[AwsEmulator, Request], dict[str, Any]]
    resource: Callable[[Mapping[str, Any]], str] = anything
    differences: tuple[str, ...] = ()  # known differences from the service, for the fidelity table


def named(kind: str, member: str) -> Callable[[Mapping[str, Any]], str]:
    """A resource that a member names: `named("model", "ModelName")`. An ARN is taken as it is."""

    def resource(body: Mapping[str, Any]) -> str:
        name = str(body.get(member, ANY))
        return name if name.startswith("arn:") else f"{kind}/{name}"

    return resource
