"""The compiled look at rows: it knows the row in which all is well, and says nothing of any other.

It belongs to the compiled walk (`Screen` in `sealing/walk.c`), which every server has that serves sealed models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mlinfra.errors import CapabilityError
from mlinfra.modelkit.schema import EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.modelkit.schema import Column

_KINDS = {"number": 0, "integer": 1, "string": 2, "boolean": 3, "category": 4}  # of walk.c
_NULLABLE = 0x80


class Screen(Protocol):
    """Made for the columns of one schema; several threads may share it."""

    def order(self, rows: Any) -> list[list[Any]] | None:
        """The rows of a list in the schema's order, missing cells as None; None where one is not surely right."""

    def table(self, body: bytes) -> bytearray | None:
        """The cells of `{"instances": [[…], …]}` as float64, row by row, missing ones as NaN.

        None for whatever is not surely such a table of right cells, and for schemas that hold more than numbers.
        Numbers are rounded as Python rounds them.
        """


def screen(columns: Sequence[Column], *, scalar_only: bool = False) -> Screen | None:
    """The screen of a schema's columns; None where the compiled walk is missing, or a category holds more than text.

    `scalar_only` reads as a processor without AVX2 does; the cells are the same.
    """
    from mlinfra.modelkit.sealing.kernel import walk_module  # noqa: PLC0415  who only reads schemas does without

    if not all(type(value) is str for column in columns for value in column.values):
        return None
    try:
        make = walk_module().Screen
    except CapabilityError:
        return None
    found: Screen = make(
        kinds=bytes(_KINDS[column.type] | _NULLABLE * column.nullable for column in columns),
        lows=tuple(bound(column.min, -EXACT) for column in columns),
        highs=tuple(bound(column.max, EXACT) for column in columns),
        values=tuple(frozenset(column.values) if column.type == "category" else None for column in columns),
        names=tuple(column.name for column in columns),
        scalar_only=scalar_only,
    )
    return found


def bound(declared: float | None, exact: int) -> float:
    """A limit of a quick test: never beyond 2^53, where the exact test decides."""
    return exact if declared is None else declared
