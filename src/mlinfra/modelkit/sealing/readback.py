"""Reads packed nodes again and follows them beside the trees they were made of: every node, not a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing import layout
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import NotSealed

if TYPE_CHECKING:
    import numpy as np

    from mlinfra.modelkit.sealing.program import Program
    from mlinfra.modelkit.sealing.recipe import TreeModel
else:
    np = Lazy("numpy")


def check_nodes(model: TreeModel, program: Program) -> None:
    """Raises NotSealed unless each packed node says what its original says."""
    trees = model.trees
    nodes = np.frombuffer(program.array("nodes"), dtype=layout.NODE)
    at = np.frombuffer(program.array("roots"), "<u4").astype(np.int64)
    tree = np.arange(len(at))
    ids = trees.roots
    while len(ids):
        packed, is_leaf = nodes[at], trees.left[ids] < 0
        distance = (packed["route"] & layout.DISTANCE).astype(np.int64)
        _require(((distance == 0) == is_leaf).all(), "a node became a leaf, or a leaf a node")
        _check_leaves(model, program, packed[is_leaf], ids[is_leaf], tree[is_leaf])
        inner = ~is_leaf
        _check_inner(model, program, packed[inner], ids[inner])
        left = at[inner] + distance[inner]
        at = np.concatenate([left, left + 1])
        ids, tree = np.concatenate([trees.left[ids[inner]], trees.right[ids[inner]]]), np.tile(tree[inner], 2)


def _check_leaves(model: TreeModel, program: Program, packed: Any, ids: Any, tree: Any) -> None:
    table = np.frombuffer(program.array("leaves"), "<u8").reshape(-1, program.width)
    bases = np.frombuffer(program.array("bases"), "<u4").astype(np.int64)
    found = table[bases[tree] + (packed["threshold"] & layout.PAYLOAD)]
    expected = np.ascontiguousarray(model.trees.leaves[model.trees.leaf[ids]]).view(np.uint64)
    _require((found == expected).all(), "a leaf has another value")


def _check_inner(model: TreeModel, program: Program, packed: Any, ids: Any) -> None:
    trees = model.trees
    _require(
        ((packed["route"] >= layout.MISSING_RIGHT) != trees.missing_left[ids]).all(), "a missing value turns elsewhere"
    )
    in_set = trees.category_set[ids] >= 0
    sets = np.frombuffer(program.array("sets"), "<u4").reshape(-1, layout.SET_WORDS)
    numbers = packed["threshold"][in_set] & layout.PAYLOAD
    _require((sets[numbers] == trees.sets[trees.category_set[ids[in_set]]]).all(), "a set of categories differs")
    features = np.frombuffer(program.array("features"), dtype=layout.FEATURE)
    feature = features[(packed["route"][~in_set] >> layout.FEATURE_SHIFT) & (layout.MOST_FEATURES - 1)]
    found, expected = packed["threshold"][~in_set].view(np.float32).astype(np.float64), trees.threshold[ids[~in_set]]
    if model.ranked:
        cuts = np.frombuffer(program.array("cuts"), "<f8")
        _require((found < feature["cut_count"]).all(), "a threshold has no cut")
        _require((cuts[feature["cut_first"] + found.astype(np.int64)] == expected).all(), "a cut differs")
        return
    with np.errstate(over="ignore"):
        above = np.nextafter(found.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    _require(((found <= expected) & ((above > expected) | np.isinf(above))).all(), "a threshold is not rounded down")


def _require(holds: Any, what: str) -> None:
    if not holds:
        raise NotSealed(f"the packed trees are not the estimator's: {what}")
