"""One request to a model from rows to answer: done on the event loop when cheap, in the lane when not."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.errors import InvocationFailed
from mlinfra.serving import plain
from mlinfra.serving.log import log
from mlinfra.serving.messages import Refusal, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.serving.models import Model


_REHEARSALS = 3
_SLOW = 0.05  # seconds after which one rehearsal was enough


class Exchange:
    """A request, what was understood of it, and its answer. `rows` and `predictions` serve capture."""

    rows: Any = None
    predictions: list[Any] | None = None
    refusal: Refusal | None = None
    response: Response
    seconds = 0.0

    def __init__(self, request: Request, model: Model) -> None:
        self.request = request
        self.model = model

    def run(self, answer: Callable[[Exchange], None]) -> Exchange:
        """Answer in a dialect. Never raises: what the model raises is a fault of the model, and its trace is logged."""
        started = time.perf_counter()
        try:
            if self.request.headers.get(b"content-encoding", b"identity") != b"identity":
                raise Refusal(415, "UnsupportedMediaType", "bodies are taken uncompressed")  # noqa: TRY301  one way out
            answer(self)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception as exc:  # noqa: BLE001  a model may raise anything; the server goes on
            self._failed(exc)
        self.seconds = time.perf_counter() - started
        return self

    def _failed(self, exc: Exception) -> None:
        if isinstance(exc, RecursionError) and self.rows is None:
            self.refuse(Refusal(400, "MalformedBody", "the body is nested too deeply"))
            return
        what = exc.what if isinstance(exc, InvocationFailed) else "the model failed"
        identity = self.request.id.decode("latin-1")
        log("model failed", level="error", error=exc, model=self.model.name, request=identity)
        self.refuse(Refusal(500, "ModelFailed", f"{what}; the server's log has the reason"))

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error instead of predictions."""
        self.refusal = refusal
        self.predictions = None
        self.response = refusal.response()


def rehearse(model: Model) -> None:
    """Ask for one row of the example a few times: loads what loads on first use, and measures what a request costs."""
    rows = (model.manifest.example or {}).get("rows")
    if not rows:
        return
    request = Request()
    request.body = orjson.dumps({"instances": rows[:1]})
    best = math.inf
    for _ in range(_REHEARSALS):
        best = min(best, Exchange(request, model).run(plain.answer).seconds)
        if best > _SLOW:
            break
    model.expect(best)
