"""Decision trees of scikit-learn, and the forests and boosted sums of them that cast their input to float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.allow import name_of
from mlinfra.modelkit.sealing.labels import labels_of
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import Answer, Columns, Core, NotSealed, TreeModel, Trees

if TYPE_CHECKING:
    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Floats
else:
    np = Lazy("numpy")

_BINARY = 2
_CONSTANT_STARTS = ("sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor")


def forest(estimator: Any, method: str, columns: Columns) -> Core:
    """Random forests and extra trees: the leaves of all trees, added in their order, by their number."""
    trees = [member.tree_ for member in estimator.estimators_]
    labels, answer = _class_answer(estimator, method)
    start = np.zeros(max(1, len(labels)))
    model = _model(estimator.estimators_[0], trees, start, columns, divide=True)
    return Core(_kind("forest", labels), columns.features(), model, answer)


def single_tree(estimator: Any, method: str, columns: Columns) -> Core:
    """One decision tree: the leaf itself. A sum that begins at -0.0 keeps a leaf of -0.0 as it is."""
    labels, answer = _class_answer(estimator, method)
    start = np.full(max(1, len(labels)), -0.0)
    model = _model(estimator, [estimator.tree_], start, columns, divide=False)
    return Core(_kind("decision-tree", labels), columns.features(), model, answer)


def gradient_boosting(estimator: Any, method: str, columns: Columns) -> Core:
    """The older gradient boosting: a constant start, then each leaf times the learning rate."""
    if not (isinstance(estimator.init_, str) or name_of(estimator.init_) in _CONSTANT_STARTS):
        raise NotSealed(f"the start is a {name_of(estimator.init_)}: only constant starts are sealed")
    labels = labels_of(estimator) if hasattr(estimator, "classes_") else ()
    row = np.zeros((1, estimator.n_features_in_), np.float32)
    start = np.asarray(estimator._raw_predict_init(row), np.float64).ravel()  # noqa: SLF001  computed anew each time
    trees = [member.tree_ for stage in estimator.estimators_ for member in stage]
    gathered = gather(trees, 1, scale=estimator.learning_rate)
    model = TreeModel(gathered, start, refuse_missing=True, refuse_infinite=True)
    return Core(
        _kind("gradient-boosting", labels), columns.features(), model, boosted_answer(labels, method, "C", at_zero=True)
    )


def boosted_answer(labels: tuple[Any, ...], method: str, order: str, *, at_zero: bool) -> Answer:
    """How sums of boosted trees become predictions. `at_zero`: a score of exactly 0 is the second class."""
    if not labels:
        return Answer("values")
    if method == "predict":
        return Answer("labels_from_zero" if at_zero else "labels", labels)
    return Answer("pairs", labels) if len(labels) == _BINARY else Answer("numpy_softmax", labels, order)


def gather(trees: list[Any], width: int, scale: float | None = None) -> Trees:
    """The nodes of scikit-learn's trees in one numbering, their leaves `width` wide, scaled where asked for."""
    counts = np.array([tree.node_count for tree in trees])
    roots = np.concatenate([[0], np.cumsum(counts)[:-1]])
    shift = np.repeat(roots, counts)
    left = np.concatenate([tree.children_left for tree in trees])
    is_leaf = left < 0
    values = np.concatenate([tree.value[:, 0, :width] for tree in trees])
    leaves = np.ascontiguousarray(values[is_leaf], np.float64)
    return Trees(
        left=np.where(is_leaf, -1, left + shift),
        right=np.where(is_leaf, -1, np.concatenate([tree.children_right for tree in trees]) + shift),
        feature=np.where(is_leaf, 0, np.concatenate([tree.feature for tree in trees])),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        missing_left=np.concatenate([tree.missing_go_to_left for tree in trees]).astype(bool),
        category_set=np.full(len(left), -1),
        weight=np.concatenate([tree.n_node_samples for tree in trees]),
        leaf=np.where(is_leaf, np.cumsum(is_leaf) - 1, -1),
        roots=roots,
        leaves=leaves if scale is None else scale * leaves,
        sets=np.zeros((0, 8), np.uint32),
    )


def _class_answer(estimator: Any, method: str) -> tuple[tuple[Any, ...], Answer]:
    if not hasattr(estimator, "classes_"):
        return (), Answer("values")
    labels = labels_of(estimator)
    return labels, Answer("labels" if method == "predict" else "rows", labels)


def _model(member: Any, trees: list[Any], start: Floats, columns: Columns, *, divide: bool) -> TreeModel:
    """`member` is the tree that the estimator asks whether missing values are allowed."""
    row = np.zeros((1, 1), np.float32)
    allows_missing = not columns.sparse and bool(member._support_missing_values(row))  # noqa: SLF001  the estimator's own test
    return TreeModel(
        gather(trees, len(start)),
        start,
        divide=divide,
        refuse_missing=not allows_missing,
        refuse_infinite=True,
    )


def _kind(family: str, labels: tuple[Any, ...]) -> str:
    return f"{family}-{'classifier' if labels else 'regressor'}"
