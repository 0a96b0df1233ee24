"""Every kind that can be sealed gives the estimator's bits, for one row and for many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

# name: estimator, training columns, target, whether it takes missing values, whether it takes infinite ones
NUMBERS: dict[str, tuple[Any, str, str, bool, bool]] = {
    "forest, 2 classes": (RandomForestClassifier(20, random_state=0), "x", "binary", True, False),
    "forest, 3 classes": (RandomForestClassifier(20, random_state=0), "x", "three", True, False),
    "forest, missing": (RandomForestClassifier(20, random_state=0), "missing", "text", True, False),
    "forest regressor": (RandomForestRegressor(20, random_state=0), "missing", "real", True, False),
    "extra trees": (ExtraTreesClassifier(20, random_state=0), "x", "three", True, False),
    "extra trees regressor": (ExtraTreesRegressor(20, random_state=0), "x", "real", True, False),
    "tree": (DecisionTreeClassifier(random_state=0), "missing", "ten", True, False),
    "tree regressor": (DecisionTreeRegressor(random_state=0), "x", "real", True, False),
    "boosting, 2 classes": (HistGradientBoostingClassifier(max_iter=40), "missing", "binary", True, True),
    "boosting, 3 classes": (HistGradientBoostingClassifier(max_iter=20), "missing", "three", True, True),
    "boosting, 10 classes": (HistGradientBoostingClassifier(max_iter=8), "missing", "ten", True, True),
    "boosting regressor": (HistGradientBoostingRegressor(max_iter=40), "missing", "real", True, True),
    "boosting, poisson": (HistGradientBoostingRegressor("poisson", max_iter=20), "x", "positive", True, True),
    "boosting, categories": (
        HistGradientBoostingClassifier(max_iter=40, categorical_features=[3, 5]),
        "missing",
        "binary",
        True,
        False,
    ),
    "old boosting, 2 classes": (GradientBoostingClassifier(n_estimators=20), "x", "binary", False, False),
    "old boosting, 3 classes": (GradientBoostingClassifier(n_estimators=10), "x", "three", False, False),
    "old boosting regressor": (GradientBoostingRegressor(n_estimators=20), "x", "real", False, False),
    "logistic": (LogisticRegression(max_iter=2000), "x", "binary", False, False),
    "logistic, scaled": (make_pipeline(StandardScaler(), LogisticRegression()), "x", "text", False, False),
    "logistic, 3 classes": (make_pipeline(StandardScaler(), LogisticRegression()), "x", "three", False, False),
    "logistic, 10 classes": (make_pipeline(MinMaxScaler(), LogisticRegression()), "x", "ten", False, False),
    "logistic, imputed": (
        make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression()),
        "missing",
        "binary",
        True,
        False,
    ),
    "least squares": (LinearRegression(), "x", "real", False, False),
    "ridge": (make_pipeline(StandardScaler(with_mean=False), Ridge()), "x", "real", False, False),
    "lasso": (make_pipeline(StandardScaler(), Lasso(0.01)), "x", "real", False, False),
    "elastic net": (
        make_pipeline(SimpleImputer(), MinMaxScaler(clip=True), ElasticNet(0.01)),
        "missing",
        "real",
        True,
        False,
    ),
}

_IGNORE = {"handle_unknown": "ignore"}
_UNSEEN = {"handle_unknown": "use_encoded_value", "unknown_value": -1}


def _table(encoder: Any, *, impute: bool = True, scale: bool = True, sparse: float = 0.3) -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), *([StandardScaler()] if scale else []))
    categories = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if impute else encoder
    parts = [("numbers", numbers, [0, 1, 2, 3]), ("categories", categories, [4, 5, 6])]
    return ColumnTransformer(parts, sparse_threshold=sparse)


CELLS: dict[str, Any] = {
    "logistic": make_pipeline(_table(OneHotEncoder(**_IGNORE)), LogisticRegression(max_iter=500)),
    "logistic, sparse": make_pipeline(_table(OneHotEncoder(**_IGNORE), sparse=1.0), LogisticRegression(max_iter=500)),
    "logistic, missing is a category": make_pipeline(
        _table(OneHotEncoder(**_IGNORE), impute=False), LogisticRegression(max_iter=500)
    ),
    "forest": make_pipeline(_table(OneHotEncoder(**_IGNORE), scale=False), RandomForestClassifier(20, random_state=0)),
    "forest, sparse": make_pipeline(
        _table(OneHotEncoder(**_IGNORE), sparse=1.0), RandomForestClassifier(20, random_state=0)
    ),
    "forest, unseen is an error": make_pipeline(
        _table(OneHotEncoder(), scale=False), RandomForestClassifier(20, random_state=0)
    ),
    "boosting, ordinal": make_pipeline(
        _table(OrdinalEncoder(**_UNSEEN), impute=False), HistGradientBoostingClassifier(max_iter=30)
    ),
    "boosting, ordinal and categorical": make_pipeline(
        _table(OrdinalEncoder(**_UNSEEN)), HistGradientBoostingClassifier(max_iter=30, categorical_features=[4, 5, 6])
    ),
    "boosting on text": HistGradientBoostingClassifier(max_iter=30, categorical_features=[4, 5, 6]),
    "remainder": make_pipeline(
        ColumnTransformer(
            [("c", OrdinalEncoder(**_UNSEEN), [6, 4]), ("n", SimpleImputer(), [2]), ("d", "drop", [0, 5])],
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=30),
    ),
}


def _thresholds(estimator: Any, x: Any) -> dict[int, Any]:
    """Thresholds by column, for trees that see the columns as they are; else values of the columns."""
    found: dict[int, list[float]] = {}
    if hasattr(estimator, "_predictors") and estimator._preprocessor is None:
        for tree in (tree for iteration in estimator._predictors for tree in iteration):
            for node in tree.nodes[tree.nodes["is_leaf"] == 0]:
                found.setdefault(int(node["feature_idx"]), []).append(float(node["num_threshold"]))
    members = np.ravel(getattr(estimator, "estimators_", [estimator] if hasattr(estimator, "tree_") else []))
    for tree in (member.tree_ for member in members):
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0:
                found.setdefault(int(feature), []).append(float(threshold))
    columns = {column: np.unique(np.array(values)[np.isfinite(values)])[:5000] for column, values in found.items()}
    return columns or {column: x[~np.isnan(x[:, column]), column][:500] for column in range(x.shape[1])}


def _ask(estimator: Any, method: str, rows: Any) -> Any:
    return getattr(estimator, method)(rows)


def _methods(estimator: Any) -> list[str]:
    return ["predict", "predict_proba"] if hasattr(estimator, "predict_proba") else ["predict"]


def _count_differences(estimator, model, method, rows, differing) -> int:
    """The rows whole, in requests of a thousand, and some one by one."""
    count = 0
    for at in range(0, len(rows), 20_000):
        part = np.ascontiguousarray(rows[at : at + 20_000])
        count += differing(_ask(estimator, method, part), model.predict(part))
    for at in range(0, min(len(rows), 5000), 1000):
        part = np.ascontiguousarray(rows[at : at + 1000])
        count += differing(_ask(estimator, method, part), model.predict(part))
    for at in range(60):
        part = np.ascontiguousarray(rows[at : at + 1])
        count += differing(_ask(estimator, method, part), model.predict(part))
    return count


def _takes_missing(estimator: Any, x: Any) -> bool:
    """Extra trees did not, before scikit-learn 1.6."""
    try:
        estimator.predict(np.where(np.arange(x.shape[1]) == 0, np.nan, x[:1]))
    except ValueError:
        return False
    return True


def _numbers_case(name, data, awkward, count, seed):
    estimator, x, y, missing, wide = NUMBERS[name]
    x = getattr(data, x)
    estimator.fit(x, getattr(data, y))
    missing = missing and _takes_missing(estimator, x)
    return estimator, x, awkward(x, _thresholds(estimator, x), count, missing=missing, wide=wide, seed=seed)


def some(kinds: dict[str, Any]) -> list[Any]:
    """Each third kind where there is little time; all of them have a million rows where there is."""
    return [pytest.param(name, marks=pytest.mark.slow if index % 3 else ()) for index, name in enumerate(kinds)]


@pytest.mark.thorough
@pytest.mark.parametrize("name", some(NUMBERS))
def test_20_000_awkward_rows_of_numbers_differ_in_no_bit(name, data, sealed, awkward, differing):
    estimator, x, rows = _numbers_case(name, data, awkward, 20_000, seed=3)
    for method in _methods(estimator):
        assert _count_differences(estimator, sealed(estimator, method, x[:200]), method, rows, differing) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS)
def test_a_million_awkward_rows_of_numbers_differ_in_no_bit(name, data, sealed, awkward, differing):
    estimator, x, rows = _numbers_case(name, data, awkward, 1_000_000, seed=5)
    method = _methods(estimator)[-1]
    assert _count_differences(estimator, sealed(estimator, method, x[:200]), method, rows, differing) == 0


def _random_cells(table: Any, count: int, seed: int, *, unseen: bool) -> list[list[Any]]:
    """Rows of cells drawn column by column, with holes, unseen text and numbers where nobody expects them."""
    rng = np.random.default_rng(seed)
    columns = []
    for column in range(table.shape[1]):
        cells = rng.choice(table[:, column], count)
        cells[rng.random(count) < 0.05] = np.nan
        if column < 4:
            odd = rng.random(count) < 0.05
            cells[odd] = rng.choice([0.0, -0.0, 5e-324, -1e-40, 2.0**53, 1e300, -7.25], odd.sum())
        elif unseen:
            cells[rng.random(count) < 0.05] = "never seen"
        columns.append([None if cell != cell else cell for cell in cells])  # noqa: PLR0124  NaN
    return [list(row) for row in zip(*columns, strict=True)]


def _as_objects(rows: list[list[Any]]) -> Any:
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    for index, row in enumerate(rows):
        array[index] = [np.nan if cell is None else cell for cell in row]
    return array


def _count_cell_differences(estimator, model, method, rows, differing) -> int:
    rows = [row for row in rows if not model.refuses([row])]
    assert len(rows) > 1000
    parts = [rows, *(rows[at : at + 1000] for at in range(0, 3000, 1000)), *([row] for row in rows[:60])]
    return sum(differing(_ask(estimator, method, _as_objects(part)), model.predict(part)) for part in parts)


@pytest.mark.thorough
@pytest.mark.parametrize("name", some(CELLS))
def test_20_000_rows_of_cells_differ_in_no_bit(name, mixed, sealed, differing):
    table, labels = mixed
    estimator = CELLS[name].fit(table, labels)
    rows = _random_cells(table, 20_000, 3, unseen="error" not in name)
    for method in ("predict", "predict_proba"):
        model = sealed(estimator, method, table[:200])
        assert model.form == "cells"
        assert _count_cell_differences(estimator, model, method, rows, differing) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_a_million_rows_of_cells_differ_in_no_bit(name, mixed, sealed, differing):
    table, labels = mixed
    estimator = CELLS[name].fit(table, labels)
    model = sealed(estimator, "predict_proba", table[:200])
    for seed in range(10):
        rows = _random_cells(table, 100_000, 100 + seed, unseen="error" not in name)
        assert _count_cell_differences(estimator, model, "predict_proba", rows, differing) == 0
