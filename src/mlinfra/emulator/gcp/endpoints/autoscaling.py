"""How many replicas a deployed model's traffic wants.

After the guide "Scale inference nodes": for each metric, the number of replicas is such that the metric's value for
each of them is at its target; the largest number of the last five minutes counts, so that it shrinks late; CPU
utilization has a target of 60 per cent where no metric is named.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mlinfra.emulator.gcp.endpoints import records, rules
from mlinfra.emulator.gcp.monitoring import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.gcp.endpoints.fleets import Fleets
    from mlinfra.emulator.gcp.endpoints.records import Deployment, Endpoint

_TARGET = 60  # per cent
_LOOKED_BACK = 5  # minutes
_SPARE = 1e-9


class Autoscaling:
    """Looks at deployments once a minute. `recent` tells a metric's values of the last minute for one deployment."""

    def __init__(self, fleets: Fleets, recent: Callable[[str, Endpoint, Deployment, timedelta], list[float]]) -> None:
        self._fleets = fleets
        self._recent = recent
        self._wanted: WeakKeyDictionary[Deployment, deque[int]] = WeakKeyDictionary()

    def look(self, endpoint: Endpoint) -> None:
        """Change the numbers of replicas that an endpoint's traffic wants changed."""
        for deployment in list(endpoint.serving.values()):
            least, most = deployment.bounds
            if deployment.state != records.DEPLOYED or least == most or not deployment.available:
                continue
            history = self._wanted.setdefault(deployment, deque(maxlen=_LOOKED_BACK))
            history.append(min(max(self._now(endpoint, deployment), least), most))
            wanted = max(history)
            if wanted != deployment.wanted:
                self._fleets.scale(endpoint, deployment, wanted)

    def _now(self, endpoint: Endpoint, deployment: Deployment) -> int:
        """How many replicas the last minute wants."""
        specs = {
            each.metric_name: each.target for each in deployment.message.dedicated_resources.autoscaling_metric_specs
        }
        minute = timedelta(seconds=descriptors.SAMPLED)
        wanted = [0]
        if rules.REQUESTS in specs:
            asked = sum(self._recent(descriptors.RESPONSES, endpoint, deployment, minute))
            wanted.append(ceil(asked / max(1, specs[rules.REQUESTS]) - _SPARE))
        used = self._recent(descriptors.CPU, endpoint, deployment, minute)
        if used and (rules.CPU in specs or not specs):
            mean = 100.0 * sum(used) / len(used)
            wanted.append(ceil(deployment.available * mean / (specs.get(rules.CPU) or _TARGET) - _SPARE))
        return max(wanted)
