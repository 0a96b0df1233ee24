"""The state of a metric alert: whether all its criteria hold of a resource over its window.

After Microsoft.Insights/metricAlerts and its status, MetricAlertStatus: `Healthy` or `Unhealthy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.monitoring.queries import stamp
from mlinfra.emulator.azure.monitoring.watching import breaches

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.azure.monitoring.shapes import MetricAlert
    from mlinfra.emulator.metrics import Series

HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"


def status(name: str, alert: MetricAlert, series: Series, now: datetime) -> dict[str, Any]:
    """The statuses of an alert, one for each resource that it watches. `name` is its id."""
    return {
        "value": [
            {
                "id": f"{name}/status/{number}",
                "name": str(number),
                "type": "Microsoft.Insights/metricAlerts/status",
                "properties": {
                    "dimensions": {"microsoft.resourceId": scope},
                    "status": _state(scope, alert, series, now),
                    "timestamp": stamp(now),
                },
            }
            for number, scope in enumerate(alert.scopes)
        ]
    }


def _state(scope: str, alert: MetricAlert, series: Series, now: datetime) -> str:
    if not alert.enabled:
        return HEALTHY
    held = all(breaches(series, scope, each, alert.window_size, now) for each in alert.criteria.all_of)
    return UNHEALTHY if held else HEALTHY
