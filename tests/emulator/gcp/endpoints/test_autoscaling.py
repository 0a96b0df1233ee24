"""Replicas follow what a deployed model's requests and processors want, between the least and the most."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud import aiplatform_v1 as vertex

from mlinfra.emulator.gcp.endpoints import rules
from mlinfra.emulator.gcp.endpoints.autoscaling import Autoscaling
from mlinfra.emulator.gcp.endpoints.records import DEPLOYED, Deployment
from mlinfra.emulator.gcp.monitoring import descriptors

if TYPE_CHECKING:
    from conftest import Hosting


def scaled(hosting: Hosting, endpoint: Any, replicas: int) -> None:
    """Minutes go by until so many replicas are available."""

    def holds() -> bool:
        hosting.minute()
        (deployed,) = hosting.told(endpoint).deployed_models
        return bool(deployed.status.available_replica_count == replicas)

    hosting.until(holds)


def put(hosting: Hosting, metric: str, value: float, count: int = 1) -> None:
    """Values of the next half an hour, so many a minute."""
    now = hosting.emulator.clock.now()
    for number in range(30 * count):
        at = now + timedelta(minutes=number // count)
        hosting.emulator.monitoring.put(metric, "shop", {"deployed_model_id": "1"}, value, at)


@pytest.mark.thorough
def test_requests_bring_replicas_and_five_quiet_minutes_take_them_away(hosting: Hosting) -> None:
    endpoint = hosting.endpoint("shop")
    spec = {"metric_name": rules.REQUESTS, "target": 10}
    resources = {"min_replica_count": 1, "max_replica_count": 3, "autoscaling_metric_specs": [spec]}
    hosting.deploy(endpoint, hosting.upload("good"), own="1", resources=resources)
    put(hosting, descriptors.RESPONSES, 1.0, count=25)
    scaled(hosting, endpoint, 3)
    hosting.emulator.clock.advance(3600)
    scaled(hosting, endpoint, 1)


@pytest.mark.thorough
def test_processors_above_their_target_bring_replicas(hosting: Hosting) -> None:
    endpoint = hosting.endpoint("shop")
    resources = {"min_replica_count": 1, "max_replica_count": 2}
    hosting.deploy(endpoint, hosting.upload("good"), own="1", resources=resources)
    put(hosting, descriptors.CPU, 0.95, count=20)
    scaled(hosting, endpoint, 2)


class Fleets:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def scale(self, _endpoint: Any, deployment: Deployment, replicas: int) -> None:
        self.told.append(replicas)
        deployment.wanted = replicas


def looked(resources: dict[str, Any], *minutes: dict[str, list[float]]) -> list[int]:
    """The numbers of replicas that a deployment is told to have, minute by minute."""
    message = vertex.DeployedModel(id="1", dedicated_resources={"min_replica_count": 1, **resources})
    deployment = Deployment(message, "m", None, wanted=1, state=DEPLOYED, available=1)  # type: ignore[arg-type]
    endpoint: Any = SimpleNamespace(serving={"1": deployment})
    values: dict[str, list[float]] = {}
    fleets: Any = Fleets()
    scaling = Autoscaling(fleets, lambda metric, *_: values.get(metric, []))
    for minute in minutes:
        values.clear()
        values.update(minute)
        scaling.look(endpoint)
    return list(fleets.told)


REQUESTS = {"autoscaling_metric_specs": [{"metric_name": rules.REQUESTS, "target": 10}]}
BUSY = {descriptors.RESPONSES: [1.0] * 25}


@pytest.mark.parametrize(
    ("resources", "minutes", "told"),
    [
        ({"max_replica_count": 1, **REQUESTS}, [BUSY], []),
        ({"max_replica_count": 2, **REQUESTS}, [BUSY], [2]),
        ({"max_replica_count": 5, **REQUESTS}, [BUSY, *[{}] * 4], [3]),
        ({"max_replica_count": 5, **REQUESTS}, [BUSY, *[{}] * 5], [3, 1]),
        ({"max_replica_count": 5}, [{descriptors.CPU: [1.25]}], [3]),
        ({"max_replica_count": 5}, [{descriptors.CPU: [0.6]}, BUSY], []),
        ({"max_replica_count": 5, **REQUESTS}, [{descriptors.CPU: [1.25]}], []),
    ],
)
def test_how_many_replicas_are_wanted(resources: dict[str, Any], minutes: list[Any], told: list[int]) -> None:
    assert looked(resources, *minutes) == told
