"""Which address answers what: the contracts of the platforms on one port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.serving import handlers
from mlinfra.serving.handlers import Handler, Predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.serving.models import Model
    from mlinfra.serving.settings import Settings


@dataclass(frozen=True)
class Route:
    """What an address does: say something (GET, HEAD), predict (POST), or both."""

    get: Handler | None = None
    post: Predict | None = None

    @property
    def allow(self) -> bytes:
        """The methods, as the Allow header lists them."""
        names = ([b"GET, HEAD"] if self.get else []) + ([b"POST"] if self.post else [])
        return b", ".join(names)


def routes_of(settings: Settings, model: Model) -> Mapping[bytes, Route]:
    """Every address of a server with one model."""
    predict = Predict.plain(model)
    named = f"/v2/models/{model.name}"
    table = {
        "/ping": Route(get=handlers.ready),
        "/invocations": Route(post=predict),
        "/execution-parameters": Route(get=handlers.execution_parameters),
        "/score": Route(get=handlers.ready, post=predict),
        "/": Route(get=handlers.ready, post=predict),
        "/predict": Route(post=predict),
        "/metadata": Route(get=handlers.about),
        "/metrics": Route(get=handlers.metrics),
        f"/v1/models/{model.name}": Route(get=handlers.v1_model),
        f"/v1/models/{model.name}:predict": Route(post=predict),
        "/v1/models": Route(get=handlers.v1_models),
        "/v2": Route(get=handlers.v2_server),
        "/v2/health/live": Route(get=handlers.live),
        "/v2/health/ready": Route(get=handlers.ready),
    }
    for address in (named, f"{named}/versions/{model.version}"):
        table[address] = Route(get=handlers.v2_model)
        table[f"{address}/ready"] = Route(get=handlers.ready)
        table[f"{address}/infer"] = Route(post=Predict.tensors(model))
    if settings.health_route:
        before = table.get(settings.health_route, Route())
        table[settings.health_route] = Route(get=handlers.ready, post=before.post)
    if settings.predict_route:
        before = table.get(settings.predict_route, Route())
        table[settings.predict_route] = Route(get=before.get, post=predict)
    return {address.encode(): route for address, route in table.items()}
