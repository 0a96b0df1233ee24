"""The proof: the sealed form and the estimator answer the same rows, and every bit is compared."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.modelkit.sealing.frames import estimator_input
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.probes import Row, probe_rows
from mlinfra.modelkit.sealing.recipe import LinearModel, NotSealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from mlinfra.modelkit.sealing.opened import Sealed
    from mlinfra.modelkit.sealing.recipe import Recipe
else:
    np = Lazy("numpy")

ROWS = 12_000  # about so many are tried
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

    def as_document(self) -> dict[str, int]:
        """The proof as the manifest keeps it."""
        return self._asdict()


def prove(estimator: Any, recipe: Recipe, sealed: Sealed, examples: Sequence[Row]) -> Proof:
    """Compares shape, type and every bit; raises NotSealed at the first difference."""
    answered, refused = _split(sealed, recipe, probe_rows(recipe, examples, ROWS))
    if not answered:
        raise NotSealed("no row could be found that the model answers")
    for row in refused[:_MOST_REFUSED]:
        _compare_refusal(estimator, recipe, row)
    single = answered[:: max(1, len(answered) // _SINGLE)][:_SINGLE]
    for row in single:
        _compare(estimator, recipe, sealed, [row])
    for batch in _batches(answered, small=isinstance(recipe.model, LinearModel)):
        _compare(estimator, recipe, sealed, batch)
    return Proof(len(answered), len(single), len(refused))


def _split(sealed: Sealed, recipe: Recipe, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    refused = {cell["row"] for cell in sealed.refuses(kernel_input(recipe, rows))}
    return (
        [row for index, row in enumerate(rows) if index not in refused],
        [row for index, row in enumerate(rows) if index in refused],
    )


def kernel_input(recipe: Recipe, rows: Sequence[Row]) -> Any:
    """What a server hands to the sealed form: a buffer of float64 where it can."""
    return np.array(rows, dtype=np.float64) if recipe.form == "numbers" else list(rows)


def _batches(rows: Sequence[Row], *, small: bool) -> Iterator[Sequence[Row]]:
    """Batches of many sizes, then all that is left in one."""
    at = 0
    for size in (_SMALL_BATCHES if small else ()) + _BATCHES:
        if at + size > len(rows):
            at = 0
        yield rows[at : at + size]
        at += size
    yield rows


def _compare(estimator: Any, recipe: Recipe, sealed: Sealed, rows: Sequence[Row]) -> None:
    expected = ask(estimator, recipe, rows)
    found = sealed.predict(kernel_input(recipe, rows))
    count = differences(expected, found)
    if count:
        raise NotSealed(f"the sealed form differs from the estimator in {count} of {len(rows)} rows")


def _compare_refusal(estimator: Any, recipe: Recipe, row: Row) -> None:
    try:
        ask(estimator, recipe, [row])
    except NotSealed as exc:
        if isinstance(exc.__cause__, _RAISED):
            return
        raise
    raise NotSealed(f"the sealed form refuses a row that the estimator answers: {row!r}")


def ask(estimator: Any, recipe: Recipe, rows: Sequence[Row]) -> Any:
    """The estimator's own answer; raises NotSealed, with its error as the cause, where it has none."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return getattr(estimator, recipe.method)(estimator_input(recipe, rows))
    except _RAISED as exc:
        raise NotSealed(f"the estimator refuses a row that the sealed form answers: {exc}") from exc


def differences(expected: Any, found: list[Any]) -> int:
    """In how many rows an estimator's array and a list of predictions differ: shape, types, every bit."""
    if expected.dtype.kind == "f" and expected.dtype != np.float64:
        return len(expected)
    listed = expected.tolist()
    if len(listed) != len(found):
        return max(len(listed), len(found))
    return sum(not _same(one, other) for one, other in zip(listed, found))


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return bool(one == other)
