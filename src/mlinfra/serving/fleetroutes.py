"""The addresses of a server with many models: each dialect by a model's name, and loading and unloading by request.

SageMaker's contract for multi-model endpoints (Developer Guide, "Build your own container for multi-model
endpoints"), Open Inference v2 with Triton's model repository extension, KServe v1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import orjson

from mlinfra.serving import handlers, openinference
from mlinfra.serving.handlers import Predict
from mlinfra.serving.messages import TEXT, Refusal, Response, bad_request, json_response
from mlinfra.serving.routes import Route, Routes, common, with_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.serving.app import App
    from mlinfra.serving.fleet import Fleet
    from mlinfra.serving.http import Connection
    from mlinfra.serving.lane import Lane
    from mlinfra.serving.messages import Request
    from mlinfra.serving.metrics import Metrics
    from mlinfra.serving.models import Model
    from mlinfra.serving.settings import Settings

_NAME = rb"(?P<name>[^/:?]+)"
_KEPT = 8  # addresses of a model that are looked up quickly; a name can be written in many ways
_EXISTS = 409


@dataclass(frozen=True)
class Asked:
    """Predictions by one loaded model, which counts as asked for."""

    predict: Predict
    mark: Callable[[], None]

    def __call__(self, app: App, request: Request, connection: Connection) -> Response | None:
        """As `Predict`."""
        self.mark()
        return self.predict(app, request, connection)


class FleetRoutes:
    """Makes routes out of names. Predictions of a loaded model stand in the table, as those of an only model do."""

    def __init__(self, settings: Settings, fleet: Fleet, loader: Lane, metrics: Metrics) -> None:
        self._fleet = fleet
        self._shared = settings.workers > 1
        self._root = Path(settings.models).resolve()
        self._of: dict[str, list[bytes]] = {}  # model -> its addresses in the table
        table = {
            **common(),
            "/": Route(get=handlers.ready),
            "/metrics": Route(get=_metrics),
            "/metadata": Route(get=self._about),
            "/models": Route(get=self._list, post=self._load_by_url),
            "/v1/models": Route(get=self._v1_list),
            "/v2/repository/index": Route(get=self._index, post=lambda app, _request, _connection: self._index(app)),
        }
        self._table = with_settings(table, settings, None)
        v2 = rb"/v2/models/" + _NAME + rb"(?:/versions/" + re.escape(fleet.version.encode()) + rb")?"
        self._makers: tuple[tuple[re.Pattern[bytes], Callable[[str], Route]], ...] = (
            (re.compile(v2 + rb"/infer"), partial(self._predicting, Predict.tensors)),
            (re.compile(rb"/v1/models/" + _NAME + rb":predict"), partial(self._predicting, Predict.plain)),
            (re.compile(rb"/models/" + _NAME + rb"/invoke"), partial(self._predicting, Predict.plain)),
            (re.compile(v2 + rb"/ready"), lambda name: Route(get=lambda _app: self._ready(name))),
            (re.compile(v2), lambda name: Route(get=lambda _app: self._metadata(name))),
            (re.compile(rb"/v1/models/" + _NAME), lambda name: Route(get=lambda _app: self._ready(name))),
            (re.compile(rb"/models/" + _NAME), self._held),
            (re.compile(rb"/v2/repository/models/" + _NAME + rb"/load"), lambda name: Route(post=self._loading(name))),
            (re.compile(rb"/v2/repository/models/" + _NAME + rb"/unload"), self._unloading),
        )
        fleet.attach(loader, metrics, self._forget)
        self.routes = Routes(self._table, self._find)

    def _find(self, path: bytes) -> Route | None:
        for pattern, make in self._makers:
            if match := pattern.fullmatch(path):
                name = unquote_to_bytes(match["name"]).decode("utf-8", "replace")
                route = make(name)
                if isinstance(route.post, Asked):
                    self._keep(name, path, route)
                return route
        return None

    def _keep(self, name: str, path: bytes, route: Route) -> None:
        addresses = self._of.setdefault(name, [])
        if len(addresses) < _KEPT:
            addresses.append(path)
            self._table[path] = route

    def _forget(self, model: Model) -> None:
        """A model is gone: its addresses lead to the loader again."""
        for path in self._of.pop(model.name, ()):
            self._table.pop(path, None)

    def _predicting(self, dialect: Callable[[Model], Predict], name: str) -> Route:
        model = self._fleet.find(name)
        if model is not None:
            return Route(post=Asked(dialect(model), self._fleet.marker(name)))
        return Route(post=partial(self._load_first, name, dialect))

    def _load_first(
        self, name: str, dialect: Callable[[Model], Predict], app: App, request: Request, connection: Connection
    ) -> None:
        def go_on(refusal: Refusal | None) -> None:
            app.resume(request, connection, lambda: answer(refusal))

        def answer(refusal: Refusal | None) -> Response | None:
            model = self._fleet.find(name)
            if refusal is not None or model is None:
                raise refusal or Refusal(503, "ModelUnavailable", f"model {name} had to go at once")
            return dialect(model)(app, request, connection)

        self._fleet.summon(name, go_on)

    # what is said of models

    def _ready(self, name: str) -> Response:
        """Ready: loaded, or to be loaded when asked."""
        self._fleet.place(name)
        trouble = self._fleet.trouble(name)
        return json_response(
            {"name": name, "ready": not trouble, **({"reason": trouble} if trouble else {})}, _up(trouble)
        )

    def _metadata(self, name: str) -> Response:
        return json_response(openinference.metadata(self._loaded(name)))

    def _loaded(self, name: str) -> Model:
        self._fleet.place(name)
        model = self._fleet.find(name)
        if model is None:
            raise Refusal(503, "NotLoaded", f"model {name} is not loaded; the first prediction loads it")
        return model

    def _v1_list(self, _app: App) -> Response:
        return json_response({"models": self._fleet.names()})

    def _about(self, _app: App) -> Response:
        """What is loaded, and how each is served."""
        return json_response(
            {
                "models": [
                    {"name": model.name, "digest": model.manifest.digest, "example": model.agreement, **model.way}
                    for model in self._fleet
                ]
            }
        )

    def _index(self, _app: App) -> Response:
        """The repository extension's list of all models."""
        loaded = {model.name for model in self._fleet}
        version = self._fleet.version
        items = [
            {"name": name, "version": version, **self._state(name, name in loaded)} for name in self._fleet.names()
        ]
        return json_response(items)

    def _state(self, name: str, loaded: bool) -> dict[str, str]:  # noqa: FBT001  one of two words of the protocol
        trouble = self._fleet.trouble(name)
        return {"state": "READY" if loaded else "UNAVAILABLE", "reason": trouble or ("" if loaded else "not loaded")}

    # loading and unloading

    def _list(self, _app: App) -> Response:
        """SageMaker's list of loaded models."""
        return json_response({"models": [self._described(model) for model in self._fleet]})

    def _held(self, name: str) -> Route:
        return Route(get=lambda _app: self._show(name), delete=lambda _app: self._unload(name))

    def _show(self, name: str) -> Response:
        model = self._fleet.find(name)
        if model is None:
            raise Refusal(404, "NotLoaded", f"model {name[:100]} is not loaded")
        return json_response(self._described(model))

    def _described(self, model: Model) -> dict[str, str]:
        return {"modelName": model.name, "modelUrl": str(model.folder)}

    def _load_by_url(self, app: App, request: Request, connection: Connection) -> None:
        """SageMaker's `POST /models` with {"model_name", "url"}."""
        try:
            document: Any = orjson.loads(request.body)
            name, place = str(document["model_name"]), Path(str(document["url"])).resolve()
        except (ValueError, KeyError, TypeError) as exc:
            raise bad_request('the body is not {"model_name": …, "url": …}', "MalformedBody") from exc
        if not place.is_relative_to(self._root) or "/" in name or not name:
            raise bad_request(f"models are loaded from below {self._root} alone", "OutsideFolder")
        if self._fleet.find(name) is not None:
            raise Refusal(_EXISTS, "AlreadyLoaded", f"model {name[:100]} is loaded already")
        if not place.is_dir():
            raise Refusal(404, "UnknownModel", f"no such folder: {place}")
        self._loading(name, place)(app, request, connection)

    def _loading(self, name: str, place: Path | None = None) -> Callable[[App, Request, Connection], Response | None]:
        def load(app: App, request: Request, connection: Connection) -> Response | None:
            self._refuse_where_shared()
            if self._fleet.find(name) is not None:
                return json_response({})
            self._fleet.summon(
                name, lambda refusal: app.resume(request, connection, lambda: _done(refusal)), place=place
            )
            return None

        return load

    def _unloading(self, name: str) -> Route:
        def unload(_app: App, _request: Request, _connection: Connection) -> Response:
            return self._unload(name)

        return Route(post=unload)

    def _unload(self, name: str) -> Response:
        self._refuse_where_shared()
        if not self._fleet.drop(name):
            raise Refusal(404, "NotLoaded", f"model {name[:100]} is not loaded")
        return json_response({})

    def _refuse_where_shared(self) -> None:
        if self._shared:
            message = "this server has several workers; each loads and drops models by itself, when they are asked"
            raise Refusal(_EXISTS, "SeveralWorkers", message)


def _done(refusal: Refusal | None) -> Response:
    if refusal is not None:
        raise refusal
    return json_response({})


def _up(trouble: str) -> int:
    return 503 if trouble else 200


def _metrics(app: App) -> Response:
    """Prometheus' text format, of all models together."""
    app.gauge()
    labels = {"endpoint": app.settings.endpoint, "deployment": app.settings.deployment}
    return Response(200, app.metrics.render(labels), TEXT)
