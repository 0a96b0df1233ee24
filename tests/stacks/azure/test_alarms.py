"""What wakes somebody: the stack's alarms over what an endpoint's requests leave in Azure Monitor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.azure.endpoints.metrics import Meter, Noted
from mlinfra.emulator.azure.monitoring import descriptors
from mlinfra.emulator.azure.monitoring.computing import RESOURCE
from mlinfra.emulator.azure.monitoring.shapes import MetricAlert, read
from mlinfra.emulator.azure.monitoring.watching import breaches
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.metrics import Series

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.thorough

ALERT = "azure-native:monitor:MetricAlert"
BEGIN = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def alarms(up) -> dict[str, MetricAlert]:
    """The alarms of one endpoint by what they are about, as Azure Monitor reads them."""

    def told(inputs: dict[str, Any]) -> MetricAlert:
        criteria = {"odata.type": inputs["criteria"]["odataType"], "allOf": inputs["criteria"]["allOf"]}
        names = ("severity", "enabled", "scopes", "evaluationFrequency", "windowSize")
        return read(MetricAlert, {**{name: inputs[name] for name in names}, "criteria": criteria})

    found = up("staging", endpoints=["credit"]).of(ALERT)
    return {each.name.rpartition("-")[2]: told(each.inputs) for each in found}


@pytest.fixture
def ringing(alarms) -> Callable[..., set[str]]:
    """`ringing((424, 500), seconds=0.1)`: which alarms ring after a minute of ten such answers."""

    def ringing(*answered: tuple[int, int | None], seconds: float = 0.1) -> set[str]:
        series = Series(Clock())
        endpoint = alarms["errors"].scopes[0]
        meter = Meter(
            endpoint,
            lambda resource, metric, more, value, at: series.add(
                metric, {RESOURCE: resource.lower(), **more}, value, at
            ),
        )
        for second in range(10):
            for status, model in answered:
                meter.note(Noted(BEGIN + timedelta(seconds=second), "main", f"{endpoint}/main", status, model, seconds))
        meter.publish(BEGIN + timedelta(minutes=1))
        now = BEGIN + timedelta(minutes=2)
        return {
            own
            for own, alarm in alarms.items()
            if all(breaches(series, endpoint, each, alarm.window_size, now) for each in alarm.criteria.all_of)
        }

    return ringing


def test_every_metric_and_dimension_is_one_that_azure_monitor_has_of_endpoints(alarms):
    known = descriptors.DESCRIPTORS[descriptors.ENDPOINT]
    for alarm in alarms.values():
        for criterion in alarm.criteria.all_of:
            found = known[criterion.metric_name]
            assert criterion.time_aggregation in found.aggregations
            assert {each.name for each in criterion.dimensions or ()} <= set(found.dimensions)


def test_a_model_that_fails_is_told_though_its_callers_see_424(ringing):
    assert ringing((200, 200), (424, 500)) == {"errors"}


def test_what_no_model_answered_is_told(ringing):
    assert ringing((503, None)) == {"failures"}
    assert ringing((408, None)) == {"failures"}


def test_rows_that_are_refused_wake_nobody(ringing):
    assert ringing((200, 200), (424, 400), (401, None)) == set()


def test_slow_answers_are_told(ringing):
    assert ringing((200, 200), seconds=1.5) == {"latency"}
