"""Checks on rows beside the schema's own: a quick one for whole float matrices, a bare one where no schema is."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.schema import EXACT, Checked
from mlinfra.modelkit.screen import screen

if TYPE_CHECKING:
    from mlinfra.modelkit import Manifest
    from mlinfra.modelkit.screen import Screen

_LARGEST = EXACT - 1  # 2^53 + 1 would have been rounded to 2^53
_LARGE = 4096  # bytes of body
_CELLS = (int, float, str, bool, type(None))


class MatrixCheck:
    """Whether every cell of a float matrix is surely right by the schema.

    It never refuses: what is not surely right (missing cells, numbers beyond 2^53) goes to the exact check.
    It brings numpy in with the first matrix that it sees, since a sealed model may serve without.
    """

    def __init__(self, lows: list[float], highs: list[float], whole: list[int], screen: Screen | None) -> None:
        self.width = len(lows)
        self._bounds = lows, highs
        self._whole = whole
        self._screen = screen

    def read(self, body: bytes) -> memoryview[float] | None:
        """The rows of a JSON body as a float64 matrix, each cell right by the schema; None where that is not sure.

        A small body with whole numbers is left to the exact way, which keeps them as they were written.
        """
        if self._screen is None or (self._whole and len(body) < _LARGE):
            return None
        cells = self._screen.table(body)
        if cells is None:
            return None
        return memoryview(cells).cast("d", (len(cells) // (8 * self.width), self.width))

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        import numpy as np  # noqa: PLC0415  see the class

        lows, highs = self._bounds
        return np.array(lows, dtype=np.float64), np.array(highs, dtype=np.float64)

    @classmethod
    def of(cls, manifest: Manifest) -> MatrixCheck | None:
        """The check for a model that takes a matrix of numbers; None for any other."""
        schema = manifest.schema
        if schema is None or manifest.input.get("form") != "matrix":
            return None
        columns = schema.columns
        if any(column.type not in ("integer", "number") for column in columns):
            return None
        return cls(
            [_within(column.min, -_LARGEST) for column in columns],
            [_within(column.max, _LARGEST) for column in columns],
            [index for index, column in enumerate(columns) if column.type == "integer"],
            screen(columns),
        )

    def passes(self, matrix: Any) -> bool:
        """True where all is well. Comparisons with NaN are false, so a missing cell never passes."""
        lows, highs = self._arrays
        if not ((matrix >= lows) & (matrix <= highs)).all():
            return False
        whole = matrix[:, self._whole]
        return bool((whole == whole.round()).all())


def _within(bound: float | None, limit: float) -> float:
    if bound is None:
        return limit
    return max(min(bound, _LARGEST), -_LARGEST)


def check_plain(rows: list[Any]) -> Checked:
    """Rows for a model without a schema: arrays of plain values, all as long as the first."""
    width = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    problems = [
        {
            "row": index,
            "column": None,
            "value": None,
            "allowed": f"an array of {width} plain values; no schema is known",
        }
        for index, row in enumerate(rows)
        if not isinstance(row, list) or len(row) != width or not all(isinstance(cell, _CELLS) for cell in row)
    ]
    return Checked(rows, problems)
