"""XGBoost, from the JSON in which it saves itself. It compares and adds in float32."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.labels import labels_of
from mlinfra.modelkit.sealing.layout import SET_WORDS
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import Answer, Columns, Core, NotSealed, TreeModel, Trees

if TYPE_CHECKING:
    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Floats
else:
    np = Lazy("numpy")

_BINARY, _SEVERAL = "binary:logistic", "multi:softprob"
_REGRESSIONS = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")  # whose prediction is the sum itself


def boosting(estimator: Any, method: str, columns: Columns) -> Core:
    """XGBClassifier and XGBRegressor: leaves added to the base score, in float32, in the order of the trees."""
    if columns.sparse:
        raise NotSealed("XGBoost over a sparse matrix is not sealed; set sparse_threshold=0")
    if not math.isnan(estimator.missing):
        raise NotSealed(f"XGBoost has missing={estimator.missing!r}: only NaN is sealed")
    learner = json.loads(bytes(estimator.get_booster().save_raw("json")))["learner"]
    labels = labels_of(estimator) if hasattr(estimator, "n_classes_") else ()
    objective = learner["objective"]["name"]
    _check(learner, objective, labels)
    start = _start(learner["learner_model_param"]["base_score"], objective)
    model = TreeModel(_gather(_used(estimator, learner["gradient_booster"]["model"])), start, float_sums=True)
    kind = f"xgboost-{'classifier' if labels else 'regressor'}"
    return Core(kind, columns.features(), model, _answer(labels, objective, method))


def _answer(labels: tuple[Any, ...], objective: str, method: str) -> Answer:
    if not labels:
        return Answer("values")
    if method == "predict":
        return Answer("float_pair_labels" if objective == _BINARY else "float_softmax_labels", labels)
    return Answer("float_pairs" if objective == _BINARY else "float_softmax", labels)


def _check(learner: dict[str, Any], objective: str, labels: tuple[Any, ...]) -> None:
    known = (_BINARY if len(labels) == 2 else _SEVERAL,) if labels else _REGRESSIONS  # noqa: PLR2004  two classes
    if objective not in known:
        raise NotSealed(f"XGBoost has the objective {objective}, which is not sealed")
    if learner["gradient_booster"]["name"] != "gbtree":
        raise NotSealed(f"XGBoost has the booster {learner['gradient_booster']['name']}: only gbtree is sealed")
    parameters = learner["learner_model_param"]
    if int(parameters["num_target"]) > 1:
        raise NotSealed("more than one output is not sealed")
    if labels and max(2, int(parameters["num_class"])) != len(labels):
        raise NotSealed("XGBoost counts other classes than its wrapper")


def _start(base: str, objective: str) -> Floats:
    """The base score, for two classes through the logit, which XGBoost computes in float32."""
    scores = json.loads(base)
    start = np.array(scores if isinstance(scores, list) else [scores], dtype=np.float32)
    if objective == _BINARY:
        odds = np.float32(1.0) / start - np.float32(1.0)
        start = np.array([-math.log(value) for value in odds.tolist()], dtype=np.float32)
    return start.astype(np.float64)


def _used(estimator: Any, model: dict[str, Any]) -> list[dict[str, Any]]:
    """The trees that predictions take: those up to the best iteration, where training stopped early."""
    best = getattr(estimator, "best_iteration", None) if getattr(estimator, "early_stopping_rounds", None) else None
    outputs = max(model["tree_info"]) + 1
    end = model["iteration_indptr"][best + 1] if best is not None else len(model["trees"])
    if model["tree_info"][:end] != [index % outputs for index in range(end)]:
        raise NotSealed("XGBoost has several trees of a class in one iteration, which is not sealed")
    return list(model["trees"][:end])


def _gather(trees: list[dict[str, Any]]) -> Trees:
    for tree in trees:
        if any(tree["split_type"]) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise NotSealed("XGBoost splits on categories or has leaves of several values, which is not sealed")
    counts = np.array([len(tree["left_children"]) for tree in trees])
    roots = np.cumsum(counts) - counts
    shift = np.repeat(roots, counts)
    left, right = (_joined(trees, f"{side}_children", np.int64) for side in ("left", "right"))
    is_leaf = left < 0
    conditions = _joined(trees, "split_conditions", np.float32)
    below = np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64)  # x < c is x <= the float32 before c
    return Trees(
        left=np.where(is_leaf, -1, left + shift),
        right=np.where(is_leaf, -1, right + shift),
        feature=np.where(is_leaf, 0, _joined(trees, "split_indices", np.int64)),
        threshold=np.where(is_leaf, 0.0, below),
        missing_left=_joined(trees, "default_left", np.int64) > 0,
        category_set=np.full(len(left), -1),
        weight=_joined(trees, "sum_hessian", np.float64).astype(np.int64),
        leaf=np.where(is_leaf, np.cumsum(is_leaf) - 1, -1),
        roots=roots,
        leaves=conditions[is_leaf].astype(np.float64).reshape(-1, 1),
        sets=np.zeros((0, SET_WORDS), np.uint32),
    )


def _joined(trees: list[dict[str, Any]], name: str, kind: Any) -> Any:
    return np.concatenate([np.array(tree[name], dtype=kind) for tree in trees])
