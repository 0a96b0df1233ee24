"""What `env destroy` takes out of an environment before its stack goes: what the kit made, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.cli.emptying import empty

OURS = {"mlinfra_environment": "1a2b3c"}


@dataclass
class Endpoints:
    """Endpoints by name, and the names of those that were deleted."""

    there: dict[str, SimpleNamespace]
    deleted: list[str] = field(default_factory=list)

    def list(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name, observed=each) for name, each in self.there.items()]

    def delete(self, name: str) -> None:
        self.deleted.append(name)


def observed(**facts: Any) -> SimpleNamespace:
    usual = {"complete": True, "owned_by_stack": False, "tags": {}, "deployments": ()}
    return SimpleNamespace(**{**usual, **facts})


@pytest.mark.parametrize(
    ("what", "is_deleted"),
    [
        (observed(tags=OURS), True),
        (observed(tags={"team": "risk"}), False),
        (observed(tags=OURS, owned_by_stack=True), False),
    ],
    ids=["the kit's", "somebody else's", "the stack's own"],
)
def test_an_endpoint_goes_where_it_is_the_kits(what: SimpleNamespace, is_deleted: bool):  # noqa: FBT001  a case
    endpoints = Endpoints({"credit": what})
    nothing = SimpleNamespace(list=list)
    description = SimpleNamespace(native={})
    told = empty(SimpleNamespace(endpoints=endpoints, jobs=nothing, models=nothing, description=description), [].append)
    assert bool(endpoints.deleted) is is_deleted
    assert told["endpoints"] == endpoints.deleted


def test_a_stacks_shell_is_emptied_where_something_is_deployed_in_it():
    endpoints = Endpoints({"filled": observed(deployments=("main",)), "bare": observed()})
    nothing = SimpleNamespace(list=list)
    description = SimpleNamespace(native={"shells": {"filled": "1", "bare": "2"}})
    empty(SimpleNamespace(endpoints=endpoints, jobs=nothing, models=nothing, description=description), [].append)
    assert endpoints.deleted == ["filled"]
