"""Request-response logging: the rows that the service would write to BigQuery, kept here.

After PredictRequestResponseLoggingConfig in google-cloud-aiplatform, and the table's schema in the guide "Online
inference logging": endpoint, deployed_model_id, logging_time, request_id, request_payload, response_payload.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.hosting.split import Split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_KEPT = 50_000  # rows; older ones are dropped
_TABLE = "request_response_logging"
_PARTS = 3  # project, dataset, table


class RequestLog:
    """What one endpoint logs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._sample: Split[bool] = Split({})

    def configure(self, config: Any) -> None:
        """Log from now on as a PredictRequestResponseLoggingConfig says."""
        rate = config.sampling_rate if config.enabled else 0.0
        with self._lock:
            self._sample = Split({True: rate, False: 1 - rate})

    def take(self, endpoint: str, deployed: str, at: datetime, request: Sequence[str], response: Sequence[str]) -> None:
        """Keep a request that was answered, if the sample says so."""
        with self._lock:
            if self._sample.next():
                self._rows.append(
                    {
                        "endpoint": endpoint,
                        "deployed_model_id": deployed,
                        "logging_time": at.isoformat().replace("+00:00", "Z"),
                        "request_id": secrets.randbelow(10**18),
                        "request_payload": list(request),
                        "response_payload": list(response),
                    }
                )

    def rows(self) -> list[dict[str, Any]]:
        """Every row, from old to new."""
        with self._lock:
            return [dict(row) for row in self._rows]


def destination(config: Any, display_name: str, endpoint: str) -> str:
    """The whole name of the table that a configuration logs to: `bq://project.dataset.table`."""
    parts = config.bigquery_destination.output_uri.removeprefix("bq://").split(".")
    dataset = re.sub(r"[^A-Za-z0-9_]", "_", f"logging_{display_name}_{endpoint}")
    return "bq://" + ".".join([*parts, *[dataset, _TABLE][len(parts) - 1 :]][:_PARTS])
