"""Histogram gradient boosting: float64 thresholds, missing values, and categories as sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.extract_columns import ordinal_encoder
from mlinfra.modelkit.sealing.extract_trees import boosted_answer
from mlinfra.modelkit.sealing.labels import labels_of
from mlinfra.modelkit.sealing.layout import SET_WORDS
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import Answer, Columns, Core, Feature, NotSealed, TreeModel, Trees, paired

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

_THROUGH_EXP = ("poisson", "gamma")  # losses whose predictions are exp of the sum


def hist_gradient_boosting(estimator: Any, method: str, columns: Columns) -> Core:
    """HistGradientBoosting: the baseline, then each tree's leaf on its class's column."""
    if columns.sparse:
        raise NotSealed("HistGradientBoosting takes no sparse matrix")
    features, categorical = _features(estimator, columns)
    labels = labels_of(estimator) if hasattr(estimator, "classes_") else ()
    start = np.zeros(estimator.n_trees_per_iteration_) + np.asarray(estimator._baseline_prediction).ravel()  # noqa: SLF001  kept nowhere else
    model = TreeModel(_gather(estimator), start, categorical=categorical, ranked=True)
    kind = f"hist-gradient-boosting-{'classifier' if labels else 'regressor'}"
    if not labels and estimator.loss in _THROUGH_EXP:
        return Core(kind, features, model, Answer("numpy_exp"))
    return Core(kind, features, model, boosted_answer(labels, method, "F", at_zero=False))


def _features(estimator: Any, columns: Columns) -> tuple[tuple[Feature, ...], frozenset[int]]:
    """The features in the order of the trees: categorical ones are encoded and come first."""
    preprocessor = estimator._preprocessor  # noqa: SLF001  part of the fitted model
    if preprocessor is None:
        return columns.features(), frozenset()
    is_categorical = [bool(flag) for flag in estimator.is_categorical_]
    chosen = Columns(tuple(item for item, flag in paired(columns.items, is_categorical) if flag))
    encoded = ordinal_encoder(preprocessor.named_transformers_["encoder"], chosen).features()
    numbers = Columns(tuple(item for item, flag in paired(columns.items, is_categorical) if not flag)).features()
    return encoded + numbers, frozenset(range(len(encoded)))


def _gather(estimator: Any) -> Trees:
    predictors = [member for iteration in estimator._predictors for member in iteration]  # noqa: SLF001  the trees
    nodes = np.concatenate([member.nodes for member in predictors])
    counts = np.array([len(member.nodes) for member in predictors])
    roots = np.concatenate([[0], np.cumsum(counts)[:-1]])
    shift = np.repeat(roots, counts)
    set_counts = np.array([len(member.raw_left_cat_bitsets) for member in predictors])
    set_shift = np.repeat(np.concatenate([[0], np.cumsum(set_counts)[:-1]]), counts)
    is_leaf = nodes["is_leaf"] > 0
    in_set = ~is_leaf & (nodes["is_categorical"] > 0)
    return Trees(
        left=np.where(is_leaf, -1, nodes["left"].astype(np.int64) + shift),
        right=np.where(is_leaf, -1, nodes["right"].astype(np.int64) + shift),
        feature=np.where(is_leaf, 0, nodes["feature_idx"].astype(np.int64)),
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"] > 0,
        category_set=np.where(in_set, nodes["bitset_idx"].astype(np.int64) + set_shift, -1),
        weight=nodes["count"].astype(np.int64),
        leaf=np.where(is_leaf, np.cumsum(is_leaf) - 1, -1),
        roots=roots,
        leaves=np.ascontiguousarray(nodes["value"][is_leaf], np.float64).reshape(-1, 1),
        sets=np.concatenate([member.raw_left_cat_bitsets for member in predictors]).reshape(-1, SET_WORDS),
    )
