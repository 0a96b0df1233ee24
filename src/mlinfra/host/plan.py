"""What a supervisor or gateway needs to know to start processes, resolved by the client and kept as JSON.

Everything that could be refused was refused before a plan was written; nothing here validates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.host.isolation import Isolation

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON = "{python}"  # an element of an argument vector that stands for the resolved interpreter
PORT = "{port}"  # stands for the port that a model server is to listen on


@dataclass(frozen=True)
class InterpreterPlan:
    """Which Python runs the work. An empty `path`: an environment of `version` with `lock` is to be made first."""

    path: str
    version: str = ""
    lock: str = ""
    reason: str = ""


@dataclass(frozen=True)
class NodePlan:
    """One node: its share of the environment and the host folders under container paths."""

    environment: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobPlan:
    """A job, resolved. Times in seconds, memory in bytes; None is no limit."""

    argv: list[str]
    environment: dict[str, str]
    interpreter: InterpreterPlan
    isolation: Isolation
    nodes: list[NodePlan]
    working_folder: str
    result_folder: str
    failure_file: str
    checkpoint: str
    before: list[list[str]]
    after: list[list[str]]
    collect: list[dict[str, str]]
    max_runtime: float | None
    memory: int | None
    stop_grace: float
    infrastructure_retries: int
    user_retries: int

    def as_document(self) -> dict[str, Any]:
        """A JSON document from which `from_document` makes the same plan."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> JobPlan:
        """The plan that `as_document` wrote."""
        return cls(
            **{
                **document,
                "interpreter": InterpreterPlan(**document["interpreter"]),
                "isolation": Isolation(**document["isolation"]),
                "nodes": [NodePlan(**node) for node in document["nodes"]],
            }
        )


@dataclass(frozen=True)
class ServerPlan:
    """A deployment's model server, resolved. Times in seconds."""

    argv: list[str]
    environment: dict[str, str]
    interpreter: InterpreterPlan
    isolation: Isolation
    mounts: dict[str, str]
    health_route: str
    health_period: float
    start_timeout: float
    stop_grace: float

    def as_document(self) -> dict[str, Any]:
        """A JSON document from which `from_document` makes the same plan."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ServerPlan:
        """The plan that `as_document` wrote."""
        return cls(
            **{
                **document,
                "interpreter": InterpreterPlan(**document["interpreter"]),
                "isolation": Isolation(**document["isolation"]),
            }
        )
