"""What tests of more than one file need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.catalog.aws.permissions import policy
from mlinfra.emulator.aws.wire import motoside
from mlinfra.engine.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.environment import AwsEnvironment

_PRINTED = {"deployer": "caller", "trainer": "trainer", "server": "server", "approver": "approver"}


class EmulatedTime(Clock):
    """The engine's clock, going with an emulator's, which may be quicker than the machine's."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._clock = emulator.clock

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(max(0.0, seconds))


@pytest.fixture
def emulated_time() -> type[EmulatedTime]:
    """A clock for the engine that goes with an emulator's."""
    return EmulatedTime


@pytest.fixture
def grant() -> Callable[[AwsEmulator, AwsEnvironment], None]:
    """Give every identity of an environment what `env permissions` prints for it, and nothing else."""

    def granted(emulator: AwsEmulator, environment: AwsEnvironment) -> None:
        iam: Any = motoside.backend("iam", emulator.account, "aws")
        documents = policy(environment)
        for identity, part in _PRINTED.items():
            name = environment.identities[identity].rpartition("/")[2]
            for seeded in list(iam.get_role(name).policies):
                iam.delete_role_policy(name, seeded)
            iam.put_role_policy(name, "mlinfra", json.dumps(documents[part]))
        emulator.principals.carry()

    return granted
