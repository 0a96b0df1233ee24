"""An emulator of a cloud that has one operation, for what every emulator has in common."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.desk import Desk
from mlinfra.emulator.emulator import Emulator
from mlinfra.emulator.faults import Faults
from mlinfra.emulator.ledger import Ledger
from mlinfra.emulator.operations import Fidelity
from mlinfra.emulator.policy import Policy, Statement
from mlinfra.emulator.quotas import Quotas
from mlinfra.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


class PlainWording:
    """The words of a cloud that says what it means."""

    def denied(self, call: Call, action: str, resource: str) -> Refusal:
        return Refusal("Denied", f"{call.principal} may not {action} on {resource}", status=403)

    def throttled(self, _call: Call, retry_after: float) -> Refusal:
        return Refusal("Throttled", f"wait {retry_after:g} s", status=429, headers={"Retry-After": f"{retry_after:g}"})

    def broken(self, _call: Call, kind: str) -> Refusal:
        return Refusal(f"Broken-{kind}", kind, status=503)


class ToyEmulator(Emulator):
    """Answers every request with what came in."""

    platform: ClassVar[str] = "toy"
    wording = PlainWording()

    @classmethod
    def operations(cls) -> list[Fidelity]:
        return [Fidelity("toy", "Echo", validated="all", differences=("it is a toy",)), Fidelity("toy", "Other", False)]

    def respond(self, environ, start_response):
        body = json.loads(environ["wsgi.input"].read() or b"{}")
        call = Call("toy", "Echo", action="toy:Echo", principal=environ.get("HTTP_X_WHO", "me"), body=body)
        try:
            answer, status = self.desk.admit(call, lambda: {"echo": body}), "200 OK"
        except Refusal as refusal:
            answer, status = {"code": refusal.code}, f"{refusal.status} Refused"
        text = json.dumps(answer).encode()
        start_response(status, [("Content-Length", str(len(text)))])
        return [text]

    def variables(self) -> dict[str, str]:
        return {"TOY_URL": self.url}

    def seed(self, environment: Environment) -> Environment:
        self.policy.put("me", "all", [Statement("allow", ("toy:*",))])
        return environment.model_copy(update={"emulated": True})

    def environment(self, name: str = "", **changes: Any) -> Environment:
        return self.seed(Environment(name=name or "toy-emulated", platform="toy", **changes))

    def leftovers(self) -> list[str]:
        return []


@pytest.fixture
def toy(tmp_path: Path):
    with ToyEmulator(tmp_path / "toy") as emulator:
        yield emulator


@pytest.fixture
def clock() -> Clock:
    """Time that in effect moves by hand alone."""
    return Clock(1e-6)


@pytest.fixture
def desk(clock: Clock) -> Desk:
    return Desk(
        clock=clock,
        faults=Faults(),
        quotas=Quotas(clock),
        policy=Policy(),
        ledger=Ledger(),
        wording=PlainWording(),
    )
