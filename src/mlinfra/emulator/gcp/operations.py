"""What a method is here: one RPC of one service, what answers it, and which permission it needs on which resource."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlinfra.emulator.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.gcp.emulator import GcpEmulator

Kind = Literal["submit", "read", "other"]


@dataclass(frozen=True)
class Request:
    """A validated request. `message` is the client library's own (proto-plus) message."""

    message: Any
    principal: str  # the caller's e-mail
    call: Call = field(default_factory=lambda: Call("", ""))  # for further permissions: `desk.allow(call, …)`
    address: str = ""  # the endpoint at whose own address it came in; empty: at the regional one


@dataclass(frozen=True)
class Reply:
    """A reply with headers: gRPC's initial metadata, HTTP's headers. A method without any returns the message."""

    message: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """One RPC.

    `handle` returns the reply's message, or the long-running operation that `emulator.longrunning.start` gave.
    `resource` gets the message, read but not yet checked, and returns the relative name on which the permission is
    asked; the project may be named by id or number. `kind` is the quota that a call draws on: "submit" 60 a minute
    (jobs and long-running operations), "read" 600 a minute (every other call on resources), "other" none.
    """

    service: str  # "JobService"
    name: str  # "CreateCustomJob"
    handle: Callable[[GcpEmulator, Request], Any]
    permission: str  # "aiplatform.customJobs.create"
    resource: Callable[[Any], str]
    kind: Kind = "read"
    differences: tuple[str, ...] = ()  # known differences from the service, for the fidelity table
    control: bool = True  # a control-plane call; predictions are counted apart


def named(*path: str) -> Callable[[Any], str]:
    """A resource that a member of the message names: `named("parent")`, `named("endpoint", "name")`."""

    def resource(message: Any) -> str:
        found = message
        for member in path:
            found = getattr(found, member)
        return str(found)

    return resource
