"""LightGBM, from the text in which it saves itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.labels import labels_of
from mlinfra.modelkit.sealing.layout import SET_WORDS
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import Answer, Columns, Core, NotSealed, Op, TreeModel, Trees, paired

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
else:
    np = Lazy("numpy")

# What stands in the file's `objective`; of regressions those whose prediction is the sum itself.
_REGRESSIONS = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2  # bits of decision_type
_ZERO, _NAN = 1, 2  # what counts as missing: nothing, zero, or NaN
_BINARY = 2
_NEARLY_ZERO = Op("flush", 1.0000000180025095e-35)  # it leaves such cells out of a row, which makes them 0


def boosting(estimator: Any, method: str, columns: Columns) -> Core:
    """LGBMClassifier and LGBMRegressor: leaves added to zero, in the order of the trees."""
    if columns.sparse:
        raise NotSealed("LightGBM over a sparse matrix is not sealed; set sparse_threshold=0")
    head, *sections = estimator.booster_.model_to_string().split("\nTree=")
    header = _fields(head)
    labels = labels_of(estimator) if hasattr(estimator, "classes_") else ()
    outputs = int(header["num_tree_per_iteration"])
    _check(header, labels, outputs)
    trees = [_fields(section.split("\n\n")[0]) for section in sections]
    model = TreeModel(_gather(trees), np.zeros(outputs), ranked=True)
    kind = f"lightgbm-{'classifier' if labels else 'regressor'}"
    features = tuple(feature.then(_NEARLY_ZERO) for feature in columns.features())
    return Core(kind, features, model, _answer(labels, method))


def _answer(labels: tuple[Any, ...], method: str) -> Answer:
    if not labels:
        return Answer("values")
    if method == "predict":  # the more probable class, after the probabilities were rounded
        return Answer("pair_labels" if len(labels) == _BINARY else "softmax_labels", labels)
    return Answer("pairs" if len(labels) == _BINARY else "softmax", labels)


def _fields(text: str) -> dict[str, str]:
    """The lines `name=value`; a line without a value stands for a switch."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def _check(header: Mapping[str, str], labels: tuple[Any, ...], outputs: int) -> None:
    objective = header.get("objective", "").split()
    if "average_output" in header:
        raise NotSealed("LightGBM as a random forest is not sealed")
    known: tuple[list[str], ...] = tuple([name] for name in _REGRESSIONS)
    if labels:
        known = (["binary", "sigmoid:1"],) if outputs == 1 else (["multiclass", f"num_class:{len(labels)}"],)
    if objective not in known:
        raise NotSealed(f"LightGBM has the objective {' '.join(objective)!r}, which is not sealed")


def _numbers(tree: Mapping[str, str], name: str, kind: Any) -> Any:
    return np.array(tree.get(name, "").split(), dtype=kind)


def _gather(trees: list[dict[str, str]]) -> Trees:
    parts = [_tree(tree) for tree in trees]
    counts = [len(part["left"]) for part in parts]
    roots = np.cumsum([0, *counts])[:-1]
    for part, root in paired(parts, roots.tolist()):
        for side in ("left", "right"):
            part[side] = np.where(part[side] < 0, -1, part[side] + root)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    leaves = joined.pop("leaves")
    is_leaf = joined["left"] < 0
    return Trees(
        **joined,
        category_set=np.full(len(is_leaf), -1),
        leaf=np.where(is_leaf, np.cumsum(is_leaf) - 1, -1),
        roots=roots,
        leaves=leaves.reshape(-1, 1),
        sets=np.zeros((0, SET_WORDS), np.uint32),
    )


def _tree(tree: Mapping[str, str]) -> dict[str, Any]:
    """One tree: its inner nodes as LightGBM numbers them, then its leaves."""
    values = _numbers(tree, "leaf_value", np.float64)
    threshold = _numbers(tree, "threshold", np.float64)
    decision = _numbers(tree, "decision_type", np.int64)
    inner = len(threshold)
    if int(tree.get("num_cat", "0")) or (decision & _CATEGORICAL).any():
        raise NotSealed("LightGBM splits on categories, which is not sealed; encode them first")
    if int(tree.get("is_linear", "0")):
        raise NotSealed("LightGBM has linear leaves, which are not sealed")
    if (decision >> _MISSING_SHIFT == _ZERO).any():
        raise NotSealed("LightGBM takes zero for missing (zero_as_missing), which is not sealed")
    by_default = (decision & _DEFAULT_LEFT) > 0
    as_zero = threshold >= 0  # where nothing was missing in training, NaN is compared as 0
    padding = np.zeros(len(values))
    counts = np.concatenate([_numbers(tree, "internal_count", np.int64), _numbers(tree, "leaf_count", np.int64)])
    return {
        "left": np.concatenate([_children(tree, "left_child", inner), np.full(len(values), -1)]),
        "right": np.concatenate([_children(tree, "right_child", inner), np.full(len(values), -1)]),
        "feature": np.concatenate([_numbers(tree, "split_feature", np.int64), padding.astype(np.int64)]),
        "threshold": np.concatenate([threshold, padding]),
        "missing_left": np.concatenate(
            [np.where(decision >> _MISSING_SHIFT == _NAN, by_default, as_zero), padding > 0]
        ),
        "weight": counts if len(counts) == inner + len(values) else np.ones(inner + len(values), np.int64),
        "leaves": values,
    }


def _children(tree: Mapping[str, str], side: str, inner: int) -> Any:
    """A leaf n is written as ~n."""
    children = _numbers(tree, side, np.int64)
    return np.where(children < 0, inner + ~children, children)
