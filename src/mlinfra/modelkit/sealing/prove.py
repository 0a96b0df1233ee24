"""The proof: the sealed form and the estimator answer the same rows, and every bit is compared."""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.errors import shorten
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.probes import Row, probe
from mlinfra.modelkit.sealing.recipe import LinearModel, NotSealed, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from mlinfra.modelkit.sealing.opened import Sealed
    from mlinfra.modelkit.sealing.recipe import Recipe
else:
    np = Lazy("numpy")

_SINGLE = 32  # one-row requests; a forest takes 10 ms for each
_MOST_REFUSED = 400
_BATCHES = (2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257, 1000)  # both sides of every width that code may use
_SMALL_BATCHES = tuple(range(1, 70))  # BLAS picks its way by the size
_RAISED = (ValueError, TypeError, OverflowError, KeyError, IndexError, AttributeError)


class Proof(NamedTuple):
    """What was compared, without a difference."""

    rows: int  # answered by both
    single: int  # of them, one to a request
    refused: int  # refused by both
    tried: int  # thresholds that rows stood on and beside
    thresholds: int  # that the model has; every one was also read back from the packed form

    def as_document(self) -> dict[str, int]:
        """The proof as the manifest keeps it."""
        return self._asdict()


@dataclass(frozen=True)
class Original:
    """The estimator as it answers without a sealed form: its method, on rows brought into the form that it takes."""

    estimator: Any
    method: str
    build: Callable[[Any], Any]

    def answer(self, rows: Any) -> Any:
        """Its own array; raises NotSealed, with its error as the cause, where it refuses the rows."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return getattr(self.estimator, self.method)(self.build(rows))
        except _RAISED as exc:
            raise NotSealed(f"the estimator fails with {type(exc).__name__}: {exc}") from exc


def prove(original: Original, recipe: Recipe, sealed: Sealed, examples: Sequence[Row]) -> Proof:
    """Compares shape, type and every bit; raises NotSealed at the first difference."""
    probes = probe(recipe, examples)
    answered, refused = _split(sealed, recipe, probes.rows)
    if not answered:
        raise NotSealed("no row could be found that the model answers")
    single = answered[:: max(1, len(answered) // _SINGLE)][:_SINGLE]
    with _one_openmp_thread():
        for row in refused[:_MOST_REFUSED]:
            _compare_refusal(original, sealed, recipe, row)
        for row in single:
            _compare(original, sealed, recipe, [row])
        for batch in _batches(answered, small=isinstance(recipe.model, LinearModel)):
            _compare(original, sealed, recipe, batch)
    return Proof(len(answered), len(single), len(refused), probes.tried, probes.thresholds)


def kernel_input(recipe: Recipe, rows: Sequence[Row]) -> Any:
    """Rows as a server holds them: a buffer of float64 where it can, else lists of cells."""
    return np.array(rows, dtype=np.float64) if recipe.form == "numbers" else list(rows)


def _split(sealed: Sealed, recipe: Recipe, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    refused = {cell["row"] for cell in sealed.refuses(kernel_input(recipe, rows))}
    return (
        [row for index, row in enumerate(rows) if index not in refused],
        [row for index, row in enumerate(rows) if index in refused],
    )


def _batches(rows: Sequence[Row], *, small: bool) -> Iterator[Sequence[Row]]:
    """Batches of many sizes, then all rows in one."""
    at = 0
    for size in (_SMALL_BATCHES if small else ()) + _BATCHES:
        if at + size > len(rows):
            at = 0
        yield rows[at : at + size]
        at += size
    yield rows


def _compare(original: Original, sealed: Sealed, recipe: Recipe, rows: Sequence[Row]) -> None:
    given = kernel_input(recipe, rows)
    with np.errstate(all="ignore"):
        found = sealed.predict(given)
    try:
        expected = original.answer(given)
    except NotSealed as refusal:
        where = _shown(recipe, rows[0]) if len(rows) == 1 else f"{len(rows)} rows at once"
        raise NotSealed(f"{refusal}; the sealed form would answer. Asked for {where}") from refusal
    count = differences(expected, found)
    if count:
        where = f", asked for {_shown(recipe, rows[0])}" if len(rows) == 1 else ""
        raise NotSealed(f"the sealed form differs from the estimator in {count} of {len(rows)} rows{where}")


def _compare_refusal(original: Original, sealed: Sealed, recipe: Recipe, row: Row) -> None:
    given = kernel_input(recipe, [row])
    try:
        original.answer(given)
    except NotSealed:
        return
    cells = "; ".join(f"column {cell['column']} wants {cell['allowed']}" for cell in sealed.refuses(given))
    raise NotSealed(f"the estimator answers a row that the sealed form refuses ({cells}): {_shown(recipe, row)}")


def _shown(recipe: Recipe, row: Row) -> str:
    """A row for people: the columns with their cells."""
    cells = ["missing" if cell is None or cell != cell else repr(cell) for cell in row]  # noqa: PLR0124  NaN
    names = recipe.names or map(str, range(recipe.columns))
    return shorten(", ".join(f"{name}={cell}" for name, cell in paired(list(names), cells)))


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    """Many small batches are slow where threads wait for each other; trees give the same bits with any number.

    BLAS is left alone: its bits may depend on its threads.
    """
    try:
        threadpool_limits = import_module("threadpoolctl").threadpool_limits  # comes with scikit-learn
    except ImportError:
        yield
        return
    with threadpool_limits(limits=1, user_api="openmp"):
        yield


def differences(expected: Any, found: list[Any]) -> int:
    """In how many rows an estimator's array and a list of predictions differ: shape, types, every bit."""
    listed = expected.tolist()
    if len(listed) != len(found):
        return max(len(listed), len(found))
    return sum(not _same(one, other) for one, other in paired(listed, found))


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return bool(one == other)
