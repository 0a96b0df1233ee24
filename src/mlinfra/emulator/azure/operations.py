"""What an operation is here: a path of ARM and a method, what answers it, and which permission it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlinfra.emulator.azure.names import ML
from mlinfra.emulator.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator

Kind = Literal["read", "write", "delete"]
_KINDS: dict[str, Kind] = {"GET": "read", "HEAD": "read", "DELETE": "delete"}
_WITH_BODY = ("PUT", "PATCH", "POST")


@dataclass(frozen=True)
class Request:
    """A validated request."""

    id: str  # the path, as resource ids are kept: "/subscriptions/…/workspaces/mlinfra/jobs/j1"; a POST's has its verb
    parts: Mapping[str, str]  # what the path's template names: {"workspaceName": …, "name": "j1"}
    method: str
    body: dict[str, Any]
    version: str  # api-version
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    principal: str = ""  # the caller's object id
    call: Call = field(default_factory=lambda: Call("", ""))  # for further permissions: `desk.allow(call, …)`
    address: str = ""  # scheme and host that the client called: "https://localhost:PORT"

    @property
    def resource(self) -> str:
        """The resource's id: the path, without the verb that a POST ends in."""
        return self.id.rpartition("/")[0] if self.method == "POST" else self.id


@dataclass(frozen=True)
class Reply:
    """An answer. `body` None is an answer without any."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One operation of ARM.

    `handle` returns a Reply, or a document that is answered with 200; long-running ones return what
    `emulator.longrunning.start` gave. `path` is a template of names.py. `action` is the permission asked for on the
    resource: for a collection's path that is what it lies in. `model` names the generated model that the body is held
    against, in the request's own api-version; empty where there is none.
    """

    name: str  # as the generated client's operation group and method: "Jobs_CreateOrUpdate"
    method: str
    path: str
    handle: Callable[[AzureEmulator, Request], Any]
    action: str  # "Microsoft.MachineLearningServices/workspaces/jobs/write"
    versions: tuple[str, ...] = ()  # api-versions that it has; empty: all those of its provider
    differences: tuple[str, ...] = ()  # known differences from the service, for the fidelity table
    control: bool = True

    @property
    def service(self) -> str:
        """The resource provider: `Microsoft.MachineLearningServices`."""
        return self.path.rpartition("/providers/")[2].partition("/")[0] if "/providers/" in self.path else "ARM"

    @property
    def kind(self) -> Kind:
        """The allowance of ARM that a call draws on."""
        return _KINDS.get(self.method, "write")

    @property
    def has_body(self) -> bool:
        """Whether a JSON body comes with it."""
        return self.method in _WITH_BODY


def ml(name: str) -> str:
    """A permission on resources of Azure Machine Learning: `ml("workspaces/jobs/read")`."""
    return f"{ML}/{name}"
