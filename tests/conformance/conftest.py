"""What tests of more than one file need."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.catalog.aws.permissions import policy as aws_policy
from mlinfra.catalog.azure.permissions import policy as azure_policy
from mlinfra.catalog.gcp.permissions import policy as gcp_policy
from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.azure.identity.roles import Role
from mlinfra.emulator.gcp.identity.bindings import Binding
from mlinfra.engine.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mlinfra.emulator.aws import AwsEmulator
    from mlinfra.emulator.azure import AzureEmulator
    from mlinfra.emulator.emulator import Emulator
    from mlinfra.emulator.gcp import GcpEmulator
    from mlinfra.environment import AwsEnvironment, AzureEnvironment, GcpEnvironment

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
def grant() -> Callable[..., None]:
    """Give every identity of an environment what `env permissions` prints for it, and nothing else.

    On Azure one action may be left out: `without`.
    """
    by_platform: dict[str, Any] = {"aws": grant_on_aws, "azure": grant_on_azure, "gcp": grant_on_gcp}

    def granted(emulator: Emulator, environment: Any, **but: str) -> None:
        by_platform[emulator.platform](emulator, environment, **but)

    return granted


def grant_on_aws(emulator: AwsEmulator, environment: AwsEnvironment) -> None:
    iam: Any = motoside.backend("iam", emulator.account, "aws")
    documents = aws_policy(environment)
    for identity, part in _PRINTED.items():
        name = environment.identities[identity].rpartition("/")[2]
        for seeded in list(iam.get_role(name).policies):
            iam.delete_role_policy(name, seeded)
        iam.put_role_policy(name, "mlinfra", json.dumps(documents[part]))
    emulator.principals.carry()


def grant_on_azure(emulator: AzureEmulator, environment: AzureEnvironment, *, without: str = "") -> None:
    objects = {each: emulator.credentials(each).principal.object_id for each in environment.identities.values()}
    for each in emulator.assignments.all():
        if each.principal in objects.values():
            emulator.assignments.revoke(each.name)
    document = azure_policy(environment)
    for own, role in document["roles"].items():
        actions = tuple(action for action in role["Actions"] if action != without)
        emulator.assignments.define(guid(own), Role(own, actions, data_actions=tuple(role["DataActions"]), custom=True))
    for each in document["assignments"]:
        emulator.assignments.assign(objects[each["assignee"]], guid(each["role"]), each["scope"])


def guid(name: str) -> str:
    """The GUID of a role of ours."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def grant_on_gcp(emulator: GcpEmulator, environment: GcpEnvironment) -> None:
    bindings: Any = emulator.identity.bindings
    ours = {f"serviceAccount:{email}" for email in environment.identities.values()}
    for resource in list(bindings._policies):
        kept = (
            Binding(each.role, tuple(member for member in each.members if member not in ours), each.condition)
            for each in bindings.of(resource)
        )
        bindings.set(resource, [each for each in kept if each.members])
    document = gcp_policy(environment)
    for own, role in document["roles"].items():
        bindings.define(f"projects/{environment.account}/roles/{own}", role["includedPermissions"])
    for each in document["bindings"]:
        condition = each.get("condition", {}).get("expression", "")
        bindings.grant(each["resource"], each["role"], each["member"], condition)
