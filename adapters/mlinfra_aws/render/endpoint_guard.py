"""SageMaker's own guard: blue/green with alarms, as UpdateEndpoint's DeploymentConfig."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.contract.endpoints import Guard
    from mlinfra.contract.requests import Document

MOST_ALARMS = 10
_START = 3600  # seconds that a new fleet may take to come up
_SHORTEST, _LONGEST = 600, 28_800  # seconds, of MaximumExecutionTimeoutInSeconds


def deployment_config(guard: Guard, made: Iterable[str] = ()) -> Document:
    """The shift of traffic from the old fleet to the new one in the guard's steps, taken back by its alarms.

    `made` are the names of those that were made for its rules.

    Raises:
        CapabilityError: more alarms than SageMaker watches at once.
    """
    alarms = [*guard.alarms, *made]
    if len(alarms) > MOST_ALARMS:
        raise CapabilityError(
            "SageMaker watches a few alarms at once",
            given=f"{len(alarms)} alarms",
            allowed=f"{MOST_ALARMS}, those under observability.alarms of the environment and one for each other rule",
            todo="combine them into composite alarms, or write `rollout.watch: process`",
        )
    whole = int(len(guard.steps) * guard.bake)
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {**_routing(guard.steps), "WaitIntervalInSeconds": int(guard.bake)},
            "MaximumExecutionTimeoutInSeconds": min(_LONGEST, max(_SHORTEST, _START + whole)),
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


def _routing(steps: tuple[int, ...]) -> Document:
    size = {"Type": "CAPACITY_PERCENT", "Value": steps[0]}
    if len(steps) == 1:
        return {"Type": "ALL_AT_ONCE"}
    if len(steps) == 2:  # noqa: PLR2004  a canary and everything
        return {"Type": "CANARY", "CanarySize": size}
    return {"Type": "LINEAR", "LinearStepSize": size}
