"""What is taken out of an estimator: its columns as chains of operations, and the numbers of its model.

A recipe says the same as the estimator, operation by operation and in the same order; `pack` turns it into arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mlinfra.modelkit.sealing.lazy import Lazy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]
    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Cell = str | int | float | bool | None
else:
    np = Lazy("numpy")

_A = TypeVar("_A")
_B = TypeVar("_B")


class NotSealed(Exception):
    """The estimator keeps serving; the message says why, in words for its owner."""


class Op(NamedTuple):
    """One operation on one value; the names are those of `layout.OPS`."""

    name: str
    a: float = 0.0
    b: float = 0.0
    known: tuple[float, ...] = ()  # ascending; of a lookup


@dataclass(frozen=True)
class Vocabulary:
    """The categories of a column: a cell becomes its position among `values`."""

    values: tuple[Cell, ...]
    missing: int  # the code of a missing cell; layout.REFUSE where the estimator raises
    unknown: int  # the code of a cell that is none of the values
    marker: float | None = math.nan  # what a missing cell is for the estimator: NaN or None


@dataclass(frozen=True)
class Category:
    """A column of cells whose missing ones are filled in, and that no encoder has turned into numbers yet."""

    column: int
    fill: Cell  # what stands for a missing cell
    marker: float | None  # what a missing cell is for the estimator: NaN or None


@dataclass(frozen=True)
class Feature:
    """A number that the model reads: a cell, or the code of a cell, after some operations."""

    column: int
    ops: tuple[Op, ...] = ()
    vocabulary: Vocabulary | None = None

    def then(self, *ops: Op) -> Feature:
        """The same feature with more operations after its own."""
        return replace(self, ops=self.ops + ops)

    @property
    def is_cell(self) -> bool:
        """Whether nothing has been done to the cell, so that it may still be read as a category."""
        return not self.ops and self.vocabulary is None


@dataclass(frozen=True)
class Columns:
    """What flows between the steps of a pipeline."""

    items: tuple[Feature | Category, ...]
    sparse: bool = False  # a scipy matrix: linear models then add in another order

    def features(self) -> tuple[Feature, ...]:
        """All columns as numbers; raises NotSealed where one still is a category."""
        for item in self.items:
            if isinstance(item, Category):
                raise NotSealed(f"column {item.column} holds categories that nothing turns into numbers")
        return tuple(item for item in self.items if isinstance(item, Feature))


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees in one numbering, tree after tree; the first node of a tree is its root."""

    left: Integers  # -1: a leaf
    right: Integers
    feature: Integers
    threshold: Floats  # a value goes left where value <= threshold
    missing_left: npt.NDArray[np.bool_]
    category_set: Integers  # -1: the node compares; else the row of `sets` whose categories go left
    weight: Integers  # training rows, to lay out the busier child first
    leaf: Integers  # row of `leaves`, for leaves
    roots: Integers
    leaves: Floats  # rows x width
    sets: npt.NDArray[np.uint32]  # rows x 8

    def thresholds(self, features: int) -> list[Floats]:
        """For each of so many features the different thresholds that nodes compare it with, ascending."""
        compares = (self.left >= 0) & (self.category_set < 0)
        order = np.lexsort((self.threshold[compares], self.feature[compares]))
        feature, threshold = self.feature[compares][order], self.threshold[compares][order]
        is_new = np.ones(len(order), dtype=bool)
        is_new[1:] = (feature[1:] != feature[:-1]) | (threshold[1:] != threshold[:-1])
        edges = np.searchsorted(feature[is_new], np.arange(features + 1))
        return [threshold[is_new][edges[index] : edges[index + 1]] for index in range(features)]


@dataclass(frozen=True)
class TreeModel:
    """Sums of leaves, over `outputs` columns of scores that begin at `start`."""

    trees: Trees
    start: Floats
    categorical: frozenset[int] = frozenset()  # features that hold category codes
    ranked: bool = False  # compares float64 values; otherwise the values are cast to float32 first
    divide: bool = False  # by the number of trees
    refuse_missing: bool = False
    refuse_infinite: bool = False
    float_sums: bool = False  # added in float32

    @property
    def outputs(self) -> int:
        """How many scores a row has."""
        return len(self.start)


@dataclass(frozen=True)
class LinearModel:
    """Products with a matrix, through BLAS, or one by one over a sparse matrix."""

    weights: Floats  # as the estimator multiplies by it: features, or features x outputs
    bias: Floats
    sparse: bool = False
    layout: str = "C"  # or "F": how the estimator's last matrix lies in memory, for BLAS rounds by it

    @property
    def outputs(self) -> int:
        """How many scores a row has."""
        return 1 if self.weights.ndim == 1 else int(self.weights.shape[1])


@dataclass(frozen=True)
class Answer:
    """How scores become predictions, for the one method that is served."""

    finish: str  # layout.FINISHES or layout.NUMPY_FINISHES
    labels: tuple[Cell, ...] = ()
    order: str = "C"  # of the matrix that softmax works on


class Core(NamedTuple):
    """What a model's own extraction yields."""

    kind: str
    features: tuple[Feature, ...]
    model: TreeModel | LinearModel
    answer: Answer


@dataclass(frozen=True)
class Recipe:
    """Everything that a sealed file holds, still as numpy arrays."""

    kind: str
    method: str
    columns: int
    features: tuple[Feature, ...]
    model: TreeModel | LinearModel
    answer: Answer
    names: tuple[str, ...] = ()  # of the columns, where the estimator was fitted with names
    libraries: tuple[tuple[str, str], ...] = ()  # those whose code answered in the proof, with their versions
    by_name: bool = False  # the estimator picks its columns by name, so it must be asked with a data frame

    @property
    def form(self) -> str:
        """How rows come: "cells" where a column holds categories, else "numbers"."""
        return "cells" if any(feature.vocabulary for feature in self.features) else "numbers"

    def markers(self) -> list[float | None]:
        """For each column what a missing cell is for the estimator."""
        markers: list[float | None] = [math.nan] * self.columns
        for feature in self.features:
            if feature.vocabulary:
                markers[feature.column] = feature.vocabulary.marker
        return markers

    def column_kinds(self) -> list[str]:
        """For each column "number", "category" or "unused"."""
        kinds = ["unused"] * self.columns
        for feature in self.features:
            kinds[feature.column] = "category" if feature.vocabulary else "number"
        return kinds


def paired(first: Sequence[_A], second: Sequence[_B]) -> Iterator[tuple[_A, _B]]:
    """The items of two sequences side by side; raises NotSealed where one is longer."""
    if len(first) != len(second):
        raise NotSealed(f"the estimator is at odds with itself: {len(first)} of one thing, {len(second)} of another")
    return zip(first, second)


def plain(value: Any) -> Any:
    """A numpy scalar as the Python value it stands for; anything else as it is."""
    return value.item() if hasattr(value, "item") else value
