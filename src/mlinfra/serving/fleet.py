"""Many models in one server: packages in a folder, each loaded when first asked, within a limit of memory.

A model's size is what loading it was measured to add. Where room is short, those go that were not asked for longest.
A package that cannot be loaded is refused with its reason, and asked again only after a while; the others go on.
All state belongs to the event loop's thread; the loader's thread gets a model and gives it back.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import MlinfraError, NotFound, shorten
from mlinfra.serving.exchange import rehearse
from mlinfra.serving.locate import package_in
from mlinfra.serving.log import log
from mlinfra.serving.memory import give_back, resident, usual_limit
from mlinfra.serving.messages import Refusal
from mlinfra.serving.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlinfra.serving.lane import Lane
    from mlinfra.serving.metrics import Metrics
    from mlinfra.serving.settings import Settings

    Then = Callable[[Refusal | None], None]

_AGAIN = 5.0  # seconds before a package that could not be loaded is tried again
_REMEMBERED = 1000  # packages that could not be loaded
_LEAST = 64 << 10  # bytes that a model counts with, where less was measured
_GUESS = 0.01  # seconds to load a model


@dataclass
class Held:
    """A loaded model: bytes that it takes, and when it was last asked, as a number that grows."""

    model: Model
    size: int
    used: int


@dataclass(frozen=True)
class Loaded:
    """What the loader's thread gives back: a model and its size, or an error."""

    name: str
    model: Model | None = None
    size: int = 0
    error: Exception | None = None


class Fleet:
    """The server's models, by the names of their folders."""

    def __init__(self, settings: Settings) -> None:
        self.version = settings.version
        self._root = Path(settings.models)
        self._limit = settings.memory_limit or usual_limit()
        self._held: dict[str, Held] = {}
        self._places: dict[str, Path] = {}  # of models that were loaded by request
        self._failed: dict[str, tuple[float, Refusal]] = {}
        self._sizes: dict[str, int] = {}  # as they were last measured
        self._waiting: dict[str, list[Then]] = {}
        self._clock = itertools.count(1)
        self._baseline = 0
        self._ready = False
        self._loader: Lane
        self._metrics: Metrics
        self._forget: Callable[[Model], None] = lambda _model: None

    def __iter__(self) -> Iterator[Model]:
        return (held.model for held in self._held.values())

    @property
    def default(self) -> Model:
        """No model stands behind routes that name none: a Refusal."""
        raise Refusal(404, "NoModelNamed", "this server has many models; name one in the address")

    def load(self) -> None:
        """See that the folder is there: models are loaded when asked. Raises NotFound."""
        if not self._root.is_dir():
            raise NotFound(
                "no such folder of model packages", given=str(self._root), todo="name it with --models FOLDER"
            )

    def prove(self) -> None:
        """Nothing to prove yet: each model proves itself when it is loaded."""

    def open(self) -> None:
        """Take the measure of the process before its models, and let requests come."""
        self._baseline = resident()
        self._ready = True

    def ready(self) -> bool:
        """Whether models can be asked for."""
        return self._ready

    def about(self) -> dict[str, object]:
        """What the log says at the start."""
        return {"models": str(self._root), "found": len(self.names()), "memory_limit": self._limit}

    def attach(self, loader: Lane, metrics: Metrics, forget: Callable[[Model], None]) -> None:
        """Say who loads and counts, and who must hear that a model is gone."""
        self._loader, self._metrics, self._forget = loader, metrics, forget

    def names(self) -> list[str]:
        """Every model that can be asked for."""
        found = (path.name for path in self._root.iterdir() if path.is_dir()) if self._root.is_dir() else ()
        return sorted({*self._places, *(name for name in found if not name.startswith("."))})

    def find(self, name: str) -> Model | None:
        """A loaded model, marked as asked for."""
        held = self._held.get(name)
        if held is None:
            return None
        held.used = next(self._clock)
        return held.model

    def marker(self, name: str) -> Callable[[], None]:
        """What marks a loaded model as asked for, without a look-up by name."""
        held, clock = self._held[name], self._clock

        def mark() -> None:
            held.used = next(clock)

        return mark

    def place(self, name: str) -> Path:
        """The folder of a model. Raises a Refusal 404 where there is none."""
        path = self._places.get(name) or self._root / name
        if "/" in name or name.startswith(".") or not os.path.isdir(path):  # noqa: PTH112  pathlib raises for odd names
            raise Refusal(404, "UnknownModel", f"no model of that name is here: {shorten(name)}")
        return path

    def trouble(self, name: str) -> str:
        """Why a model could not be loaded when it was last tried; empty where it was not, or long ago."""
        until, refusal = self._failed.get(name, (0.0, None))
        return refusal.message if refusal and until > time.monotonic() else ""

    def summon(self, name: str, then: Then, *, place: Path | None = None) -> None:
        """Load a model, then call back on the loop: with None once it can be asked, else with the reason.

        Raises a Refusal where that is known at once: 404, 503 for what lately failed or where too many wait.
        """
        folder = place or self.place(name)
        until, refusal = self._failed.get(name, (0.0, None))
        if refusal is not None and until > time.monotonic() and place is None:
            raise refusal
        if name in self._waiting:
            self._waiting[name].append(then)
            return
        if not self._loader.admits(_GUESS):
            raise Refusal(503, "Overloaded", "too many models wait to be loaded", headers=b"retry-after: 1\r\n")
        self._waiting[name] = [then]
        if place is not None:
            self._places[name] = place
        freed = self._make_room(self._expected(name))
        self._loader.submit(partial(_load, name, self.version, folder, trim=freed), self._came, _GUESS)

    def drop(self, name: str) -> bool:
        """Unload a model; whether it was loaded. What is being asked of it is still answered."""
        self._places.pop(name, None)
        self._failed.pop(name, None)
        held = self._held.pop(name, None)
        if held is not None:
            self._forget(held.model)
            self._gauge()
        return held is not None

    def _came(self, loaded: Loaded) -> None:
        """The loader is done with one."""
        name = loaded.name
        refusal = self._settle(name, loaded.model, loaded.size) if loaded.model else self._refusal(name, loaded.error)
        self._gauge()
        for then in self._waiting.pop(name, ()):
            then(refusal)

    def _settle(self, name: str, model: Model, size: int) -> Refusal | None:
        """Take a loaded model in, at the price of others."""
        self._metrics.add("model_loads_total")
        self._held[name] = Held(model, size, next(self._clock))
        self._sizes[name] = size
        self._failed.pop(name, None)
        self._make_room(0, keep=name)
        if len(self._held) > 1 or self._needed(0) <= self._limit:
            return None
        self.drop(name)
        return self._fail(name, Refusal(507, "TooLarge", f"model {name} alone needs more than the memory limit"))

    def _refusal(self, name: str, error: Exception | None) -> Refusal:
        self._metrics.add("model_load_failures_total")
        if isinstance(error, MlinfraError):
            log("model not loaded", level="error", model=name, message=str(error), **error.as_document())
            reason = error.what
        else:
            log("model not loaded", level="error", model=name, error=error)
            reason = "its package cannot be loaded; the server's log has the reason"
        status = 507 if isinstance(error, MemoryError) else 503
        headers = b"retry-after: %d\r\n" % _AGAIN
        return self._fail(name, Refusal(status, "ModelUnavailable", f"model {name}: {reason}", headers=headers))

    def _fail(self, name: str, refusal: Refusal) -> Refusal:
        self._places.pop(name, None)
        while len(self._failed) >= _REMEMBERED:
            del self._failed[next(iter(self._failed))]
        self._failed[name] = (time.monotonic() + _AGAIN, refusal)
        return refusal

    def _expected(self, name: str) -> int:
        """What a model took when it was loaded before, else what the others take on average."""
        held = [each.size for each in self._held.values()]
        return self._sizes.get(name, sum(held) // len(held) if held else 0)

    def _needed(self, more: int) -> int:
        """Bytes that the process would hold with so many more: as measured, or as its models add up to."""
        return max(resident(), self._baseline + sum(held.size for held in self._held.values())) + more

    def _make_room(self, size: int, keep: str = "") -> bool:
        """Drop models, longest unused first, until so many bytes fit; whether any went."""
        excess, freed = self._needed(size) - self._limit, 0
        if excess <= 0:
            return False
        for name, held in sorted(self._held.items(), key=lambda item: item[1].used):
            if freed >= excess:
                break
            if name != keep:
                freed += held.size
                del self._held[name]
                self._forget(held.model)
                self._metrics.add("model_evictions_total")
        return freed > 0

    def _gauge(self) -> None:
        self._metrics.set("models_loaded", len(self._held))
        self._metrics.set("models_bytes", sum(held.size for held in self._held.values()))


def _load(name: str, version: str, folder: Path, *, trim: bool) -> Loaded:
    """Load, prove and rehearse a model, in the loader's thread."""
    if trim:
        give_back()
    before = resident()
    try:
        model = Model(name, version, package_in(folder), None)
        model.load()
        model.prove()
        rehearse(model)
    except Exception as exc:  # noqa: BLE001  handed to the loop; one bad package must not hurt the others
        return Loaded(name, error=exc)
    model.ready = True
    return Loaded(name, model, max(resident() - before, _LEAST))
