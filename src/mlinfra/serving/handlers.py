"""What each kind of address does. Handlers that only say something take the server; `Predict` is one per dialect."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import mlinfra
from mlinfra.serving import openinference, plain
from mlinfra.serving.exchange import Exchange
from mlinfra.serving.messages import TEXT, Refusal, Response, json_response

if TYPE_CHECKING:
    from mlinfra.serving.app import App
    from mlinfra.serving.http import Connection
    from mlinfra.serving.messages import Request
    from mlinfra.serving.models import Model

Handler = Callable[["App"], Response]

_ON_LOOP = 0.002  # seconds of work that the event loop does itself
_UNREADY = b"retry-after: 1\r\n"


@dataclass(frozen=True)
class Predict:
    """Predictions by one model in one dialect."""

    model: Model
    answer: Callable[[Exchange], None]
    is_v2: bool = False

    @classmethod
    def plain(cls, model: Model) -> Predict:
        """Rows in, `{"predictions"}` out."""
        return cls(model, plain.answer)

    @classmethod
    def tensors(cls, model: Model) -> Predict:
        """Open Inference v2."""
        return cls(model, openinference.answer, is_v2=True)

    def __call__(self, app: App, request: Request, connection: Connection) -> Response | None:
        """The answer, or None where the lane has been asked and will tell the connection."""
        model, lane = self.model, app.lane
        exchange = Exchange(request, model)
        if not model.ready:
            exchange.refuse(Refusal(503, "NotReady", "the model is being loaded", headers=_UNREADY))
            return self.finish(app, exchange)
        cost = model.cost(len(request.body))
        if cost < _ON_LOOP and model.shareable:
            return self.finish(app, exchange.run(self.answer))
        if not lane.admits(cost):
            app.metrics.add("shed_total")
            headers = b"retry-after: %d\r\n" % (1 + int(lane.backlog))
            exchange.refuse(Refusal(503, "Overloaded", "too many requests are waiting", headers=headers))
            return self.finish(app, exchange)
        waits = lane.length > 0
        work = partial(self._unless_left, exchange, connection) if waits else partial(exchange.run, self.answer)
        lane.submit(work, partial(self._deliver, app, connection), cost)
        return None

    def finish(self, app: App, exchange: Exchange) -> Response:
        """Count, capture, and hand out the answer."""
        refusal = exchange.refusal
        if refusal is None:
            exchange.model.learn(len(exchange.request.body), exchange.seconds)
        response = exchange.response
        if self.is_v2 and refusal is not None:
            response.body = refusal.v2_response().body
        app.done(exchange)
        return response

    def _unless_left(self, exchange: Exchange, connection: Connection) -> Exchange | None:
        """For a request that had to wait: clients who gave up must not keep the model from those who did not."""
        return None if connection.has_left else exchange.run(self.answer)

    def _deliver(self, app: App, connection: Connection, exchange: Exchange | None) -> None:
        if exchange is None:
            connection.end()
        elif not connection.is_ended:
            connection.complete(exchange.request, self.finish(app, exchange))


def live(_app: App) -> Response:
    """The process answers."""
    return json_response({"live": True})


def ready(app: App) -> Response:
    """200 once the model has answered its example, until the server is told to stop."""
    if app.draining:
        return json_response({"ready": False, "reason": "stopping"}, 503)
    if not app.models.ready():
        return json_response({"ready": False, "reason": "loading"}, 503)
    return json_response({"ready": True})


def about(app: App) -> Response:
    """What is served and how: digest, schema, sealed or not and why, versions at hand."""
    model = _ready_model(app)
    manifest = model.manifest
    document = {
        "name": model.name,
        "version": model.version,
        "endpoint": app.settings.endpoint,
        "deployment": app.settings.deployment,
        "digest": manifest.digest,
        "format": manifest.format,
        "method": manifest.method,
        "schema": manifest.schema.as_document() if manifest.schema else None,
        "schema_version": manifest.schema_version,
        "example": model.agreement,
        **model.way,
        "kit": mlinfra.__version__,
        "python": platform.python_version(),
        "requirements": {item: _installed(item) for item in manifest.requirements},
        "run": manifest.run,
    }
    return json_response(document)


def metrics(app: App) -> Response:
    """Prometheus' text format."""
    app.gauge()
    labels = {
        "endpoint": app.settings.endpoint,
        "deployment": app.settings.deployment,
        "model": app.models.default.name,
    }
    return Response(200, app.metrics.render(labels), TEXT)


def execution_parameters(app: App) -> Response:
    """What SageMaker's batch transform asks before it begins."""
    most = max(app.settings.body_limit >> 20, 1)
    workers = app.settings.workers
    return json_response({"MaxConcurrentTransforms": workers, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": most})


def v1_models(app: App) -> Response:
    """KServe v1: the models' names."""
    return json_response({"models": [model.name for model in app.models]})


def v1_model(app: App) -> Response:
    """KServe v1: whether the model is ready."""
    model = app.models.default
    return json_response({"name": model.name, "ready": model.ready}, 200 if model.ready else 503)


def v2_server(_app: App) -> Response:
    """Open Inference v2: what this server is."""
    extensions = ["binary_tensor_data"]
    return json_response({"name": "mlinfra", "version": mlinfra.__version__, "extensions": extensions})


def v2_model(app: App) -> Response:
    """Open Inference v2: the model's tensors."""
    return json_response(openinference.metadata(_ready_model(app)))


def _ready_model(app: App) -> Model:
    model = app.models.default
    if not model.ready:
        raise Refusal(503, "NotReady", "the model is being loaded", headers=_UNREADY)
    return model


@cache
def _installed(requirement: str) -> str | None:
    """The version at hand of a requirement's package, None where it is not installed."""
    from importlib import metadata as distributions  # noqa: PLC0415  a tenth of the start, for a rare question

    name = requirement
    for mark in "=<>!~[; ":
        name = name.partition(mark)[0]
    try:
        return distributions.version(name)
    except distributions.PackageNotFoundError:
        return None
