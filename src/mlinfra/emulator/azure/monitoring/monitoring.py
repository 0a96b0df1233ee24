"""Azure Monitor over ARM: metrics and their definitions, autoscale settings, metric alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.monitoring import alerts, autoscaling, documents, queries
from mlinfra.emulator.azure.monitoring.autoscaling import Autoscaling
from mlinfra.emulator.azure.monitoring.computing import RESOURCE, lines
from mlinfra.emulator.azure.monitoring.descriptors import DEPLOYMENT, DESCRIPTORS, ENDPOINT
from mlinfra.emulator.azure.monitoring.kept import Kept
from mlinfra.emulator.azure.monitoring.shapes import AutoscaleSetting, MetricAlert
from mlinfra.emulator.azure.names import GROUP, SUBSCRIPTION, kind_of
from mlinfra.emulator.azure.operations import Operation
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request

INSIGHTS = "Microsoft.Insights"
SETTINGS, ALERTS = "autoscalesettings", "metricAlerts"
DELAYS: dict[str, float] = {}
_METRIC_VERSIONS = ("2018-01-01", "2019-07-01", "2021-05-01", "2023-10-01", "2024-02-01")
_SETTING_VERSIONS = ("2015-04-01", "2021-05-01-preview", "2022-10-01")
_ALERT_VERSIONS = ("2018-03-01", "2024-03-01-preview")


class Monitoring:
    """Azure Monitor of one subscription. `before_reading` are told that somebody is about to read."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._autoscaling = Autoscaling(emulator)
        self.settings = Kept(emulator, f"{INSIGHTS}/autoscaleSettings", AutoscaleSetting, self._check_target)
        self.alerts = Kept(emulator, f"{INSIGHTS}/metricAlerts", MetricAlert)
        self.before_reading: list[Callable[[], None]] = []

    def put(self, resource: str, metric: str, dimensions: Mapping[str, str], value: float, at: datetime) -> None:
        """Keep a value of a resource, by its id."""
        unit = DESCRIPTORS[kind_of(resource)][metric].unit
        self._emulator.metrics.add(metric, {RESOURCE: resource.lower(), **dimensions}, value, at=at, unit=unit)

    def look(self) -> None:
        """Do what autoscale settings want done. Called once a virtual minute."""
        for _, setting in self.settings.every():
            self._autoscaling.look(setting)

    def leftovers(self) -> list[str]:
        """The ids of settings and alerts with the kit's tags."""
        return [*self.settings.leftovers(), *self.alerts.leftovers()]

    def stop(self) -> None:
        """Nothing of it runs."""

    # Operations

    def list_metrics(self, request: Request) -> dict[str, Any]:
        """Metrics_List."""
        resource, kind = self._resource(request)
        query = queries.read(request.query, kind, DESCRIPTORS[kind], self._emulator.clock.now())
        for tell in self.before_reading:
            tell()
        value = []
        for metric in query.metrics:
            found = lines(
                self._emulator.metrics, resource, metric.name, query.conditions, query.span, rolled=query.rolled
            )
            value.append(documents.metric_document(resource, metric, query, found))
        return {
            "cost": 0,
            "timespan": query.timespan,
            "interval": query.interval,
            "namespace": kind,
            "resourceregion": self._emulator.place.region,
            "value": value,
        }

    def list_definitions(self, request: Request) -> dict[str, Any]:
        """MetricDefinitions_List."""
        resource, kind = self._resource(request)
        return {"value": [documents.definition(resource, kind, each) for each in DESCRIPTORS[kind].values()]}

    def alert_status(self, request: Request) -> dict[str, Any]:
        """MetricAlertsStatus_List."""
        name = request.id.rpartition("/")[0]
        alert = self.alerts.found(name)
        for tell in self.before_reading:
            tell()
        return alerts.status(name, alert, self._emulator.metrics, self._emulator.clock.now())

    # The parts

    def _resource(self, request: Request) -> tuple[str, str]:
        """The id and the type of the resource whose metrics are asked for."""
        resource = f"/{request.parts['scope'].strip('/')}"
        kind = next((each for each in DESCRIPTORS if each.lower() == kind_of(resource).lower()), "")
        if not kind:
            raise refusals.not_emulated(f"Metrics of {kind_of(resource)}")
        endpoints = self._emulator.endpoints
        if kind == ENDPOINT:
            return endpoints.get(resource).id, kind
        return endpoints.managed.get(resource)[1].id, DEPLOYMENT

    def _check_target(self, name: str, setting: AutoscaleSetting) -> None:
        """Refuse a second setting for a resource."""
        for other, each in self.settings.every():
            if other.lower() != name.lower() and _same(each.target_resource_uri, setting.target_resource_uri):
                told = f"The resource '{setting.target_resource_uri}' has an autoscale setting already: '{other}'."
                raise refusals.refusal("Conflict", told, 409)


def _same(one: str | None, other: str | None) -> bool:
    return bool(one) and bool(other) and str(one).lower() == str(other).lower()


def _collection(
    group: str,
    path: str,
    kept: Callable[[Monitoring], Kept[Any]],
    versions: tuple[str, ...],
    differences: tuple[str, ...],
) -> Iterator[Operation]:
    """The operations on one type of resource of a resource group."""
    many, one = f"{GROUP}/providers/{INSIGHTS}/{path}", f"{GROUP}/providers/{INSIGHTS}/{path}/{{name}}"
    action = f"{INSIGHTS}/{path}"

    def answer(method: str) -> Callable[[AzureEmulator, Request], Any]:
        return lambda emulator, request: getattr(kept(emulator.monitoring), method)(request)

    rows = (
        ("ListByResourceGroup", "GET", many, "list_", "read"),
        ("ListBySubscription", "GET", f"{SUBSCRIPTION}/providers/{INSIGHTS}/{path}", "list_", "read"),
        ("Get", "GET", one, "get", "read"),
        ("CreateOrUpdate", "PUT", one, "put", "write"),
        ("Update", "PATCH", one, "patch", "write"),
        ("Delete", "DELETE", one, "delete", "delete"),
    )
    for name, method, template, handler, verb in rows:
        more = differences if name == "CreateOrUpdate" else ()
        yield Operation(
            f"{group}_{name}",
            method,
            template,
            answer(handler),
            f"{action}/{verb}",
            versions=versions,
            differences=more,
        )


OPERATIONS = (
    Operation(
        "Metrics_List",
        "GET",
        "/{scope}/providers/Microsoft.Insights/metrics",
        lambda emulator, request: emulator.monitoring.list_metrics(request),
        f"{INSIGHTS}/metrics/read",
        versions=_METRIC_VERSIONS,
        differences=(
            "only metrics of online endpoints and their deployments exist; those of networks, disks and GPUs do not",
            "a minute's requests are one value for each combination of their dimensions, and so are latencies",
            "every aggregation may be asked for; series are not ordered",
        ),
    ),
    Operation(
        "MetricDefinitions_List",
        "GET",
        "/{scope}/providers/Microsoft.Insights/metricDefinitions",
        lambda emulator, request: emulator.monitoring.list_definitions(request),
        f"{INSIGHTS}/metricDefinitions/read",
        versions=_METRIC_VERSIONS,
    ),
    *_collection(
        "AutoscaleSettings",
        SETTINGS,
        lambda monitoring: monitoring.settings,
        _SETTING_VERSIONS,
        autoscaling.DIFFERENCES,
    ),
    *_collection(
        "MetricAlerts",
        ALERTS,
        lambda monitoring: monitoring.alerts,
        _ALERT_VERSIONS,
        (
            "an alert is evaluated when its status is asked for; nothing is fired and nobody is told",
            "of criteria only static thresholds; dynamic ones, web tests and queries are refused",
        ),
    ),
    Operation(
        "MetricAlertsStatus_List",
        "GET",
        f"{GROUP}/providers/{INSIGHTS}/{ALERTS}/{{name}}/status",
        lambda emulator, request: emulator.monitoring.alert_status(request),
        f"{INSIGHTS}/{ALERTS}/status/read",
        versions=_ALERT_VERSIONS,
    ),
)
