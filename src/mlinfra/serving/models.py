"""The models that a server holds: loaded, proved by their example, asked for predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.errors import InputRejected, IntegrityError
from mlinfra.modelkit import load_predictor
from mlinfra.serving.exchange import rehearse
from mlinfra.serving.messages import Refusal
from mlinfra.serving.rows import MatrixCheck, check_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlinfra.modelkit import Checked, Manifest

_CLOSE = 1e-12  # relative; what another CPU's linear algebra may change
_SHOWN = 1000  # refused cells that an answer lists; no more are looked for
_LARGE = 8192  # bytes of body from which the cost of a request grows with its size
_FIRST_GUESS = 2e-8  # seconds per byte of a large body, before anything was measured
_WEIGHT = 0.1  # of the newest measurement


class Model:
    """One model package. Loading and asking are for one thread at a time."""

    def __init__(self, name: str, version: str, folder: Path, digest: str | None) -> None:
        self.name = name
        self.version = version
        self.ready = False
        self.manifest: Manifest
        self.agreement = ""  # how the example was answered: equal, close, or unproved
        self.folder = folder
        self._digest = digest
        self._seconds = 0.0  # a small request
        self._per_byte = _FIRST_GUESS

    def load(self) -> None:
        """Verify the digests and load. Raises as `load_predictor` does; nothing is asked of the model yet."""
        self._predictor = load_predictor(self.folder, digest=self._digest)
        self.manifest = self._predictor.manifest
        self._schema = self.manifest.schema
        self._checker = self._schema.checker if self._schema else None
        self._matrix = MatrixCheck.of(self.manifest)

    def prove(self) -> None:
        """Ask the example and compare. Raises IntegrityError where it differs."""
        example = self.manifest.example
        if example is None:
            self.agreement = "unproved: the package holds no example"
            return
        predictions = orjson.loads(orjson.dumps(self._predictor.predict(example["rows"])))  # NaN is null in both
        self.agreement = _agreement(predictions, example["predictions"])

    @property
    def way(self) -> dict[str, Any]:
        """Whether the sealed form or the estimator serves; why not, or what was sealed and what its bits lean on."""
        if self._predictor.reason:
            return {"way": self._predictor.way, "reason": self._predictor.reason}
        return {"way": self._predictor.way, "sealed": dict(self.manifest.sealed or {})}

    @property
    def shareable(self) -> bool:
        """Whether the loop and the lane may ask the model at the same time."""
        return self._predictor.shareable

    @property
    def matrix(self) -> MatrixCheck | None:
        """The quick check of whole float matrices, where the model takes them."""
        return self._matrix

    def check(self, rows: list[Any]) -> Checked:
        """Compare rows with the schema; without one, they need only be arrays of plain values."""
        return check_plain(rows) if self._checker is None else self._checker.check(rows, _SHOWN)

    def accept(self, checked: Checked) -> list[list[Any]]:
        """The rows in schema order, or a Refusal naming each bad cell."""
        if checked.problems:
            raise _rejected(checked.problems)
        return checked.rows

    def predict(self, rows: Any) -> list[Any]:
        """Predictions for checked rows. Without a schema the model itself says which rows it refuses."""
        try:
            return self._predictor.predict(rows)
        except InputRejected as exc:
            raise self._not_taken(exc) from exc
        except (ValueError, TypeError) as exc:
            if self._schema is not None:
                raise
            raise Refusal(400, "InputRejected", f"the model refuses the rows: {exc}") from exc

    def expect(self, seconds: float) -> None:
        """Take what a small request was measured to cost as what one costs."""
        self._seconds = seconds

    def cost(self, size: int) -> float:
        """Expected seconds of a request with a body of that many bytes."""
        return self._seconds + (size * self._per_byte if size > _LARGE else 0.0)

    def learn(self, size: int, seconds: float) -> None:
        """Take a measurement into account."""
        if size > _LARGE:
            self._per_byte += _WEIGHT * (max(seconds - self._seconds, 0.0) / size - self._per_byte)
        else:
            self._seconds += _WEIGHT * (seconds - self._seconds)

    def _not_taken(self, exc: InputRejected) -> Refusal:
        """A model's own refusal; its columns may be positions, where it was trained without names."""
        if not exc.rows or self._schema is None:
            return Refusal(400, "InputRejected", exc.what, rows=exc.rows[:_SHOWN])
        names = dict(enumerate(self._schema.names))
        return _rejected([{**cell, "column": names.get(cell["column"], cell["column"])} for cell in exc.rows])


class Models:
    """The models of a server that has one. `Fleet` stands in its place where there are many."""

    def __init__(self, model: Model) -> None:
        self._only = model

    def __iter__(self) -> Iterator[Model]:
        return iter((self._only,))

    @property
    def default(self) -> Model:
        """The model behind the routes that name none."""
        return self._only

    def load(self) -> None:
        """Load what is served from the start. Raises as `Model.load`."""
        self._only.load()

    def prove(self) -> None:
        """See that it answers its example, and what that costs. Raises as `Model.prove`."""
        self._only.prove()
        rehearse(self._only)

    def open(self) -> None:
        """Let requests come."""
        self._only.ready = True

    def ready(self) -> bool:
        """Whether every model that must be there is."""
        return self._only.ready

    def about(self) -> dict[str, Any]:
        """What the log says once it is ready."""
        model = self._only
        return {
            "model": model.name,
            "digest": model.manifest.digest,
            "example": model.agreement,
            "serves": model.way,
        }


def _rejected(problems: list[dict[str, Any]]) -> Refusal:
    first = problems[0]
    where = f"row {first['row']}" + (f", column {first['column']}" if first["column"] is not None else "")
    more = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
    at_least = " at least" if len(problems) >= _SHOWN else ""
    message = f"{where}: allowed is {first['allowed']}{more}{at_least}"
    return Refusal(400, "InputRejected", message, rows=problems[:_SHOWN])


def _agreement(found: list[Any], expected: list[Any] | None) -> str:
    if expected is None:
        return "unproved: the package's example has no predictions"
    if repr(found) == repr(expected):
        return "equal"
    if len(found) == len(expected) and all(map(_is_close, found, expected)):
        return "close: within 1e-12, as another CPU's arithmetic gives"
    what = "the model does not answer its own example as it did when it was saved"
    raise IntegrityError(what, given=found, allowed=str(expected))


def _is_close(found: Any, expected: Any) -> bool:
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_is_close, found, expected))
    if isinstance(found, float) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=_CLOSE)
    return bool(found == expected)
