"""What the environment tells: logs that end some day, alarms and who is told, a dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pulumi import Output
from pulumi_gcp import logging, monitoring

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from pulumi import ResourceOptions

    from mlinfra.infra.gcp.configuration import GcpConfiguration

_OF_VERTEX = 'resource.type = ("ml_job" OR "aiplatform.googleapis.com/Endpoint")'
_ENDPOINT = 'resource.type = "aiplatform.googleapis.com/Endpoint"'
_METRICS = "aiplatform.googleapis.com/prediction/online"
_MINUTE = "60s"
_QUIET = "1800s"  # after which an alarm closes by itself
_ERRORS_A_SECOND = 0.1
_SLOW = 1000.0  # ms
_WIDTH, _HEIGHT = 24, 16


class Logs(Component):
    """A log bucket with an end, and the sink that fills it with the project's Vertex AI logs.

    The entries stay in the project's `_Default` bucket as well, where the adapter reads them.
    """

    def __init__(self, name: str, configuration: GcpConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("gcp:Logs", name, configuration, options)
        bucket = logging.ProjectBucketConfig(
            self.named("bucket"),
            project=configuration.account,
            location=configuration.region,
            bucket_id=names.own(configuration),
            retention_days=self.profile.log_days,
            description=f"Vertex AI in {configuration.name}",
            opts=self.child(),
        )
        logging.ProjectSink(
            self.named("sink"),
            name=names.own(configuration),
            destination=Output.concat("logging.googleapis.com/", bucket.id),
            filter=_OF_VERTEX,
            unique_writer_identity=True,
            opts=self.child(),
        )
        self.bucket: Output[str] = bucket.id
        self.finish(bucket=self.bucket)


class Alarms(Component):
    """Errors and slowness of any endpoint of the environment, told to the mail addresses of the configuration.

    Metrics of Vertex AI bear no label of their endpoint but its id, which tells its environment: the shells' ids are
    the stack's, and the adapter ends all others with the environment's suffix.
    """

    def __init__(self, name: str, configuration: GcpConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them."""
        super().__init__("gcp:Alarms", name, configuration, options)
        self._gcp = configuration
        self.channels: list[Output[str]] = [
            monitoring.NotificationChannel(
                self.named(f"mail-{number + 1}"),
                type="email",
                display_name=address,
                labels={"email_address": address},
                user_labels=names.labels(configuration),
                opts=self.child(),
            ).name
            for number, address in enumerate(configuration.notify)
        ]
        if self.profile.alarms:
            self._alarm("errors", "error_count", _ERRORS_A_SECOND, aligner="ALIGN_RATE", reducer="REDUCE_SUM")
            self._alarm("latency", "prediction_latencies", _SLOW, aligner="ALIGN_PERCENTILE_99", reducer="REDUCE_MAX")
        self.finish(channels=self.channels)

    def _alarm(self, own: str, metric: str, above: float, *, aligner: str, reducer: str) -> None:
        aggregation = {
            "alignment_period": _MINUTE,
            "per_series_aligner": aligner,
            "cross_series_reducer": reducer,
            "group_by_fields": ["resource.label.endpoint_id"],
        }
        monitoring.AlertPolicy(
            self.named(own),
            display_name=f"mlinfra {self._gcp.name}: {own} of an endpoint",
            combiner="OR",
            conditions=[
                {
                    "display_name": f"{metric} above {above:g}",
                    "condition_threshold": {
                        "filter": _told_by(self._gcp, metric),
                        "comparison": "COMPARISON_GT",
                        "threshold_value": above,
                        "duration": "120s",
                        "aggregations": [aggregation],
                    },
                }
            ],
            notification_channels=self.channels,
            alert_strategy={"auto_close": _QUIET},
            user_labels=names.labels(self._gcp),
            opts=self.child(),
        )


class Dashboard(Component):
    """One page: requests, errors and latency of every endpoint of the environment."""

    def __init__(self, name: str, configuration: GcpConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("gcp:Dashboard", name, configuration, options)
        made = monitoring.Dashboard(
            self.named("page"), dashboard_json=json.dumps(_page(configuration)), opts=self.child()
        )
        self.address = Output.concat(
            "https://console.cloud.google.com/monitoring/dashboards/builder/",
            made.id.apply(lambda name: name.rpartition("/")[2]),
            f"?project={configuration.account}",
        )
        self.finish(address=self.address)


def _page(configuration: GcpConfiguration) -> dict[str, Any]:
    charts = (
        ("Requests a second", "prediction_count", "ALIGN_RATE"),
        ("Errors a second", "error_count", "ALIGN_RATE"),
        ("Latency, 99 %", "prediction_latencies", "ALIGN_PERCENTILE_99"),
        ("Replicas", "replicas", "ALIGN_MEAN"),
    )
    tiles = [
        {
            "xPos": _WIDTH * (number % 2),
            "yPos": _HEIGHT * (number // 2),
            "width": _WIDTH,
            "height": _HEIGHT,
            "widget": {"title": title, "xyChart": {"dataSets": [_series(configuration, metric, aligner)]}},
        }
        for number, (title, metric, aligner) in enumerate(charts)
    ]
    return {
        "displayName": f"mlinfra {configuration.name}",
        "labels": dict.fromkeys(names.labels(configuration).values(), ""),
        "mosaicLayout": {"columns": 2 * _WIDTH, "tiles": tiles},
    }


def _series(configuration: GcpConfiguration, metric: str, aligner: str) -> dict[str, Any]:
    return {
        "plotType": "LINE",
        "timeSeriesQuery": {
            "timeSeriesFilter": {
                "filter": _told_by(configuration, metric),
                "aggregation": {"alignmentPeriod": _MINUTE, "perSeriesAligner": aligner},
            }
        },
    }


def _told_by(configuration: GcpConfiguration, metric: str) -> str:
    """The filter of a metric of the environment's own endpoints, in the language of Cloud Monitoring's filters."""
    shells = [names.endpoint_id(configuration, endpoint) for endpoint in configuration.endpoints]
    own = "|".join([f".*-{configuration.suffix}", *shells])
    ids = f'resource.label.endpoint_id = monitoring.regex.full_match("{own}")'
    return f'{_ENDPOINT} AND {ids} AND metric.type = "{_METRICS}/{metric}"'
