"""One call as every protocol leaves it, and the two ways in which it ends without its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Trouble = Literal["unavailable", "internal", "capacity", "quota"]


@dataclass(frozen=True)
class Call:
    """One call of one operation, as a front end understood it."""

    service: str  # the vendor's word: "sagemaker", "s3"; "aiplatform"; "Microsoft.MachineLearningServices"
    operation: str  # "CreateTrainingJob"
    action: str = ""  # the permission asked for, "sagemaker:CreateTrainingJob"; empty: none is needed
    principal: str = ""  # who calls: an ARN, an e-mail, an object id
    resources: tuple[str, ...] = ()  # what the permission is asked on; empty stands for everything, "*"
    body: Mapping[str, Any] = field(default_factory=dict)
    control: bool = True  # a control-plane call; object-store requests and predictions are counted apart
    context: Mapping[str, Any] = field(default_factory=dict)  # what conditions of the policy look at


class Refusal(Exception):
    """The vendor's own error on its way to the wire. `status` is HTTP's; `details` what else the body holds."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})
        self.details = dict(details or {})


class Cut(Exception):
    """The connection ends here, without an answer."""


class Wording(Protocol):
    """How one cloud words what every cloud refuses."""

    def denied(self, call: Call, action: str, resource: str) -> Refusal:
        """The caller lacks a permission on a resource."""
        ...

    def throttled(self, call: Call, retry_after: float) -> Refusal:
        """Too many calls; `retry_after` in seconds."""
        ...

    def broken(self, call: Call, kind: Trouble) -> Refusal:
        """The service itself is at fault, out of capacity, or the account at its limit."""
        ...
