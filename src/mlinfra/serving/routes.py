"""Which address answers what: the contracts of the platforms on one port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.serving import handlers
from mlinfra.serving.handlers import Handler, Predict
from mlinfra.serving.models import Models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.serving.app import App
    from mlinfra.serving.fleet import Fleet
    from mlinfra.serving.http import Connection
    from mlinfra.serving.lane import Lane
    from mlinfra.serving.messages import Request, Response
    from mlinfra.serving.metrics import Metrics
    from mlinfra.serving.settings import Settings


Post = Callable[["App", "Request", "Connection"], "Response | None"]


@dataclass(frozen=True)
class Route:
    """What an address does: say something (GET, HEAD), predict or act (POST), unload (DELETE)."""

    get: Handler | None = None
    post: Post | None = None
    delete: Handler | None = None

    @property
    def allow(self) -> bytes:
        """The methods, as the Allow header lists them."""
        offered = {b"GET, HEAD": self.get, b"POST": self.post, b"DELETE": self.delete}
        return b", ".join(name for name, does in offered.items() if does)


class Routes:
    """The addresses of a server: those in the table, and those that `find` makes out of a name."""

    def __init__(self, table: Mapping[bytes, Route], find: Callable[[bytes], Route | None]) -> None:
        self.table = table
        self.find = find


def routes_of(settings: Settings, models: Models | Fleet, loader: Lane | None, metrics: Metrics) -> Routes:
    """Every address of a server. `loader` is the lane that loads models, where there are many."""
    if isinstance(models, Models):
        return Routes(_of_one(settings, models), _nothing)
    from mlinfra.serving.fleetroutes import FleetRoutes  # noqa: PLC0415  most servers have one model

    if loader is None:
        raise TypeError("many models need a lane that loads them")
    return FleetRoutes(settings, models, loader, metrics).routes


def common() -> dict[str, Route]:
    """What every server answers, whatever it serves."""
    return {
        "/ping": Route(get=handlers.ready),
        "/metrics": Route(get=handlers.metrics),
        "/v2": Route(get=handlers.v2_server),
        "/v2/health/live": Route(get=handlers.live),
        "/v2/health/ready": Route(get=handlers.ready),
    }


def with_settings(table: dict[str, Route], settings: Settings, predict: Post | None) -> dict[bytes, Route]:
    """A table with the routes that a platform names beside the usual ones."""
    if settings.health_route:
        before = table.get(settings.health_route, Route())
        table[settings.health_route] = Route(get=handlers.ready, post=before.post)
    if settings.predict_route and predict:
        before = table.get(settings.predict_route, Route())
        table[settings.predict_route] = Route(get=before.get, post=predict)
    return {address.encode(): route for address, route in table.items()}


def _nothing(_path: bytes) -> Route | None:
    return None


def _of_one(settings: Settings, models: Models) -> Mapping[bytes, Route]:
    model = models.default
    predict = Predict.plain(model)
    named = f"/v2/models/{model.name}"
    table = {
        **common(),
        "/invocations": Route(post=predict),
        "/execution-parameters": Route(get=handlers.execution_parameters),
        "/score": Route(get=handlers.ready, post=predict),
        "/": Route(get=handlers.ready, post=predict),
        "/predict": Route(post=predict),
        "/metadata": Route(get=handlers.about),
        f"/v1/models/{model.name}": Route(get=handlers.v1_model),
        f"/v1/models/{model.name}:predict": Route(post=predict),
        "/v1/models": Route(get=handlers.v1_models),
    }
    for address in (named, f"{named}/versions/{model.version}"):
        table[address] = Route(get=handlers.v2_model)
        table[f"{address}/ready"] = Route(get=handlers.ready)
        table[f"{address}/infer"] = Route(post=Predict.tensors(model))
    return with_settings(table, settings, predict)
