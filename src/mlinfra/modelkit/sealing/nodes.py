"""Trees to the eight-byte nodes that the walk reads: siblings side by side, the busier child's offspring first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing import layout
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import NotSealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from mlinfra.modelkit.sealing.recipe import Array, Floats, Integers, TreeModel, Trees
else:
    np = Lazy("numpy")


_MOST_SHARED = layout.PAYLOAD  # leaves that one table may number for all trees


def pack_trees(model: TreeModel, kept: list[int], cuts: list[Any]) -> Mapping[str, Array]:
    """The arrays nodes, roots, bases, leaves and sets; raises NotSealed where a number does not fit its bits."""
    trees = model.trees
    at = positions(trees)
    inner = np.flatnonzero(trees.left >= 0)
    leaves, rows, bases = leaf_table(trees)
    nodes = np.zeros(len(at), dtype=layout.NODE)
    nodes["threshold"] = layout.LEAF_BITS
    leaf = np.flatnonzero(trees.left < 0)
    nodes["threshold"][at[leaf]] |= rows[trees.leaf[leaf]].astype(np.uint32)
    nodes["threshold"][at[inner]] = _threshold_bits(model, inner, cuts)
    nodes["route"][at[inner]] = _routes(trees, at, inner, kept)
    return {
        "nodes": nodes,
        "roots": trees.roots.astype(np.uint32),
        "bases": bases.astype(np.uint32),
        "leaves": leaves,
        "sets": trees.sets.astype(np.uint32),
    }


def positions(trees: Trees) -> Integers:
    """Where each node goes. A tree keeps its span; below a pair of siblings the busier one's offspring come first."""
    levels = _levels(trees)
    below = np.zeros(len(trees.left), np.int64)
    for level in reversed(levels):
        below[level] = 2 + below[trees.left[level]] + below[trees.right[level]]
    at = np.zeros(len(trees.left), np.int64)
    at[trees.roots] = trees.roots
    pair = np.zeros(len(trees.left), np.int64)  # where a node's children go
    pair[trees.roots] = trees.roots + 1
    for level in levels:
        left, right, first = trees.left[level], trees.right[level], pair[level]
        at[left], at[right] = first, first + 1
        left_is_busier = trees.weight[left] >= trees.weight[right]
        pair[left] = first + 2 + np.where(left_is_busier, 0, below[right])
        pair[right] = first + 2 + np.where(left_is_busier, below[left], 0)
    return at


def _levels(trees: Trees) -> list[Integers]:
    """The inner nodes of all trees, by depth."""
    levels = []
    level = trees.roots
    while len(level):
        level = level[trees.left[level] >= 0]
        levels.append(level)
        level = np.concatenate([trees.left[level], trees.right[level]])
    return levels


def round_down(values: Floats) -> npt.NDArray[np.float32]:
    """The largest float32 values that are no larger: a float32 is below one of them if it is below the original."""
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    above = rounded.astype(np.float64) > values
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded


def leaf_table(trees: Trees) -> tuple[Floats, Integers, Integers]:
    """The distinct leaves, the row of each leaf, and each tree's first row.

    Where even the distinct ones are too many to be numbered, each tree numbers its own.
    """
    distinct, rows = _distinct(trees.leaves)
    none = np.zeros(len(trees.roots), np.int64)
    if len(distinct) <= _MOST_SHARED:
        return distinct, rows, none
    is_leaf = trees.left < 0
    counts = np.add.reduceat(is_leaf.astype(np.int64), trees.roots)
    bases = np.cumsum(counts) - counts
    if counts.max() > layout.PAYLOAD or len(trees.leaves) >= 1 << 32:
        raise NotSealed("a tree has more leaves than can be sealed")
    return trees.leaves, np.arange(len(trees.leaves)) - np.repeat(bases, counts), bases


def _distinct(leaves: Floats) -> tuple[Floats, Integers]:
    """Rows that differ in a bit are distinct: -0.0 is not 0.0."""
    key = np.zeros(len(leaves), np.int64)
    for column in leaves.T:
        _, part = np.unique(np.ascontiguousarray(column).view(np.int64), return_inverse=True)
        _, key = np.unique(key * (int(part.max()) + 1) + part, return_inverse=True)
    _, first, rows = np.unique(key, return_index=True, return_inverse=True)
    return np.ascontiguousarray(leaves[first]), rows


def _threshold_bits(model: TreeModel, inner: Integers, cuts: list[Any]) -> npt.NDArray[np.uint32]:
    trees = model.trees
    thresholds = trees.threshold[inner]
    in_set = trees.category_set[inner] >= 0
    if np.isnan(thresholds[~in_set]).any():
        raise NotSealed("a threshold is not a number")
    bits = (_ranks(trees, inner, cuts) if model.ranked else round_down(thresholds)).view(np.uint32)
    sets = trees.category_set[inner][in_set]
    if len(sets) and sets.max() > layout.PAYLOAD:
        raise NotSealed("its trees test for more sets of categories than can be sealed")
    bits[in_set] = layout.LEAF_BITS | sets.astype(np.uint32)
    return bits


def _ranks(trees: Trees, inner: Integers, cuts: list[Any]) -> npt.NDArray[np.float32]:
    """Each threshold's place among its feature's cuts; a value's rank is the number of cuts below it."""
    ranks = np.zeros(len(inner), np.float32)
    order = np.argsort(trees.feature[inner], kind="stable")
    edges = np.searchsorted(trees.feature[inner][order], np.arange(len(cuts) + 1))
    for index, values in enumerate(cuts):
        mine = order[edges[index] : edges[index + 1]]
        ranks[mine] = np.searchsorted(values, trees.threshold[inner[mine]])
    return ranks


def _routes(trees: Trees, at: Integers, inner: Integers, kept: list[int]) -> npt.NDArray[np.uint32]:
    distance = at[trees.left[inner]] - at[inner]
    if len(distance) and distance.max() > layout.DISTANCE:
        raise NotSealed(f"a tree has more than {layout.DISTANCE} nodes in one branch")
    number = np.zeros(max(kept) + 1, np.int64)
    number[kept] = np.arange(len(kept))
    routes = distance | number[trees.feature[inner]] << layout.FEATURE_SHIFT
    return (routes | np.where(trees.missing_left[inner], 0, layout.MISSING_RIGHT)).astype(np.uint32)
