"""What was silently wrong in looser hands: each of these gave other answers without any error."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from mlinfra.errors import InputRejected
from mlinfra.modelkit.sealing import seal


def _same_bits(one: float, other: float) -> bool:
    return np.float64(one).tobytes() == np.float64(other).tobytes()


# ---- shapes and parameters


def test_three_classes_of_a_logistic_regression_keep_their_shape(data, sealed, differing):
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.x, data.three)
    predictions = sealed(estimator, "predict_proba").predict(data.x)
    assert [len(row) for row in predictions[:3]] == [3, 3, 3]
    assert differing(estimator.predict_proba(data.x), predictions) == 0


@pytest.mark.parametrize(("with_mean", "with_std"), [(False, True), (True, False), (False, False)])
def test_a_scaler_that_leaves_out_a_step_is_sealed_without_it(with_mean, with_std, data, sealed, differing):
    scaler = StandardScaler(with_mean=with_mean, with_std=with_std)
    estimator = make_pipeline(scaler, LogisticRegression(max_iter=5000)).fit(data.x, data.binary)
    assert differing(estimator.predict_proba(data.x), sealed(estimator, "predict_proba").predict(data.x)) == 0


def test_a_scaler_is_not_folded_into_the_coefficients(data, sealed):
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.x, data.binary)
    scaler, logistic = estimator[0], estimator[1]
    folded = data.x @ (logistic.coef_ / scaler.scale_).T
    folded = folded.ravel() + logistic.intercept_ - (scaler.mean_ / scaler.scale_) @ logistic.coef_.ravel()
    own = [row[1] for row in sealed(estimator, "predict_proba").predict(data.x)]
    assert sum(not _same_bits(1 / (1 + math.exp(-z)), p) for z, p in zip(folded, own, strict=True)) > 100


def test_a_subclass_may_predict_otherwise_and_is_not_sealed(data, tmp_path):
    class Cautious(RandomForestClassifier):
        def predict(self, X):  # noqa: N803  scikit-learn's name
            return np.zeros(len(X), int)

    document = seal(Cautious(5).fit(data.x, data.binary), "predict", None, tmp_path)
    assert "Cautious is not among the types that can be sealed" in document["reason"]


def test_a_class_that_borrows_the_name_of_a_known_one_is_not_sealed(data, tmp_path):
    impostor = type("RandomForestClassifier", (RandomForestClassifier,), {})
    impostor.__module__ = RandomForestClassifier.__module__
    document = seal(impostor(5).fit(data.x, data.binary), "predict", None, tmp_path)
    assert "not among the types" in document["reason"]


def test_a_forest_with_threads_has_no_single_answer_and_is_not_sealed(data, tmp_path):
    estimator = RandomForestRegressor(5, n_jobs=4, random_state=0).fit(data.x, data.real)
    assert "n_jobs=4" in seal(estimator, "predict", None, tmp_path)["reason"]
    assert "reason" not in seal(estimator.set_params(n_jobs=1), "predict", None, tmp_path)


# ---- order of additions


@pytest.mark.thorough
def test_a_forest_adds_in_the_order_of_its_trees_and_divides_once(data, sealed):
    estimator = RandomForestRegressor(60, random_state=0).fit(data.x, data.real)
    each = np.array([tree.predict(data.x.astype(np.float32)) for tree in estimator.estimators_])
    own = sealed(estimator).predict(data.x)
    in_order = np.cumsum(each, axis=0)[-1]
    assert own == (in_order / 60).tolist()
    assert own != np.add.reduce(each.T.copy(), axis=1).__truediv__(60).tolist()  # pairwise
    assert own != (in_order * (1 / 60)).tolist()


def test_ten_classes_are_added_one_way_for_one_row_and_another_for_many(data, sealed, differing):
    estimator = HistGradientBoostingClassifier(max_iter=8).fit(data.x, data.ten)
    model = sealed(estimator, "predict_proba", data.x[:100])
    assert not model.joinable
    many = model.predict(data.x)
    single = [model.predict(data.x[at : at + 1])[0] for at in range(len(data.x))]
    assert many != single  # numpy's sum over ten numbers depends on how they lie in memory
    assert differing(estimator.predict_proba(data.x), many) == 0
    assert differing(estimator.predict_proba(data.x[:1]), single[:1]) == 0


def test_requests_to_a_model_that_multiplies_through_blas_must_not_be_joined(data, sealed):
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.x, data.binary)
    assert not sealed(estimator, "predict_proba").joinable


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [RandomForestClassifier, HistGradientBoostingClassifier])
def test_requests_to_trees_may_be_joined(kind, data, sealed):
    model = sealed(kind(random_state=0).fit(data.x, data.binary), "predict_proba")
    assert model.joinable
    joined = model.predict(data.x[:300])
    assert joined == [model.predict(data.x[at : at + 1])[0] for at in range(300)]


# ---- exact values


def test_a_leaf_of_negative_zero_stays_one(sealed):
    x = np.arange(8.0).reshape(-1, 1)
    estimator = DecisionTreeRegressor().fit(x, np.array([-0.0] * 4 + [1.0] * 4))
    estimator.tree_.value[estimator.tree_.children_left < 0] *= -1  # the mean of training gives 0.0; a leaf may not
    for own, expected in zip(sealed(estimator).predict(x), estimator.predict(x).tolist(), strict=True):
        assert _same_bits(own, expected)


def test_a_score_of_exactly_zero_is_the_second_class_in_old_boosting_alone(data, sealed):
    estimator = GradientBoostingClassifier(n_estimators=1).fit(data.x, data.binary)
    for tree in estimator.estimators_.ravel():
        tree.tree_.value[...] = 0
    estimator.init_ = "zero"
    assert estimator.predict(data.x[:1]).tolist() == [1]
    assert sealed(estimator).predict(data.x[:1]) == [1]


def test_thresholds_are_rounded_towards_minus_infinity(sealed):
    """A float64 threshold between two float32 values: rounding it to the nearest moves the row above it to the left."""
    low = np.float32(1.0)
    high = np.nextafter(low, np.float32(2.0))
    x = np.array([[float(low)], [float(high)]])
    estimator = DecisionTreeRegressor().fit(x, np.array([1.0, 2.0]))
    nearest = np.float32(estimator.tree_.threshold[0])
    model = sealed(estimator)
    rows = np.array([[float(low)], [float(high)], [float(nearest)]])
    assert model.predict(rows) == estimator.predict(rows).tolist()


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [3, 7], [-1.0, 2.0]])
def test_labels_keep_their_type(labels, data, sealed, tmp_path):
    estimator = HistGradientBoostingClassifier(max_iter=5).fit(data.x, np.array(labels)[data.binary])
    predictions = sealed(estimator).predict(data.x)
    assert predictions == estimator.predict(data.x).tolist()
    assert {type(label) for label in predictions} == {type(labels[0])}
    json.dumps(predictions)


# ---- what the estimator would refuse


def _rejects(model, rows, *, row=0, column=0):
    with pytest.raises(InputRejected) as caught:
        model.predict(rows)
    assert {(cell["row"], cell["column"]) for cell in caught.value.rows} == {(row, column)}
    assert repr(caught.value.rows) == repr(model.refuses(rows))
    return caught.value.rows[0]


@pytest.fixture
def linear(data, sealed):
    return sealed(LinearRegression().fit(data.x[:, :3], data.real))


@pytest.fixture
def forest(data, sealed):
    return sealed(RandomForestRegressor(5, random_state=0).fit(data.x[:, :3], data.real))


@pytest.fixture
def boosted(data, sealed):
    return sealed(HistGradientBoostingRegressor(max_iter=5).fit(data.missing[:, :3], data.real))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_linear_model_takes_finite_numbers_only(value, linear):
    _rejects(linear, np.array([[0.0, 0.0, value]]), column=2)
    _rejects(linear, [[0, 0, 0], [value, 0, 0]], row=1)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 3.4028235677973366e38, -1e300])
def test_a_forest_refuses_what_float32_cannot_hold(value, forest):
    cell = _rejects(forest, np.array([[1.0, value, 0.0]]), column=1)
    assert cell["value"] == value
    assert "float32" in cell["allowed"] or "finite" in cell["allowed"]


def test_a_forest_takes_the_largest_value_that_rounds_into_float32(data, sealed, forest):
    estimator = RandomForestRegressor(5, random_state=0).fit(data.x[:, :3], data.real)
    row = np.array([[0.0, math.nextafter(3.4028235677973366e38, 0), math.nan]])
    assert forest.predict(row) == estimator.predict(row).tolist()


def test_boosting_takes_infinite_and_missing_values(data, sealed, boosted):
    estimator = HistGradientBoostingRegressor(max_iter=5).fit(data.missing[:, :3], data.real)
    rows = [[math.inf, -math.inf, 1e308], [None, math.nan, 0.0]]
    expected = estimator.predict(np.array(rows, dtype=float)).tolist()
    assert boosted.predict(rows) == expected


def test_null_is_a_missing_value_where_the_estimator_takes_one_and_refused_where_not(linear, boosted):
    assert boosted.predict([[None, 1.0, 2.0]]) == boosted.predict(np.array([[math.nan, 1.0, 2.0]]))
    assert "missing" in _rejects(linear, [[None, 1.0, 2.0]])["allowed"]


@pytest.mark.parametrize("cell", ["1.0", "", b"1", [], {}, object(), 1j])
def test_what_is_no_number_is_refused(cell, boosted):
    _rejects(boosted, [[0.0, cell, 0.0]], column=1)


@pytest.mark.parametrize("whole", [2**53 + 1, -(2**63) - 1, 2**200 + 1, True, False])
def test_integers_and_booleans_become_float64_as_numpy_makes_them(whole, data, sealed):
    estimator = LinearRegression().fit(data.x[:, :3], data.real)
    rows = [[whole, 0, 1]]
    assert sealed(estimator).predict(rows) == estimator.predict(np.array(rows, dtype=np.float64)).tolist()


def test_an_integer_beyond_every_float_is_refused(linear):
    _rejects(linear, [[10**400, 0, 0]])


def test_every_refused_cell_is_named(linear):
    with pytest.raises(InputRejected) as caught:
        linear.predict([[math.nan, 1.0, math.inf], [0.0, 0.0, 0.0], [0.0, "x", 0.0]])
    assert [(cell["row"], cell["column"]) for cell in caught.value.rows] == [(0, 0), (0, 2), (2, 1)]


@pytest.mark.parametrize("rows", [[], np.empty((0, 3)), ()])
def test_no_rows_are_refused(rows, linear):
    with pytest.raises(InputRejected, match="no rows"):
        linear.predict(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0], [3.0, 4.0, 5.0, 6.0]],  # six numbers, three columns, and still no rows
        [1.0, 2.0, 3.0],
        [[[1.0, 2.0, 3.0]]],
        [[1.0, 2.0, 3.0], None],
        [[1.0, 2.0, 3.0, 4.0]],
        ["abc"],
        [{"a": 1.0}],
    ],
)
def test_rows_of_another_shape_are_never_framed_anew(rows, linear):
    with pytest.raises(InputRejected):
        linear.predict(rows)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros(3),
        np.zeros((1, 1, 3)),
        np.zeros((3, 1)),
        np.zeros((2, 3), dtype=np.float32),
        np.zeros((2, 3), dtype=np.int64),
        np.asfortranarray(np.zeros((2, 3))),
        np.zeros((2, 6))[:, ::2],
        b"\0" * 24,
        "abc",
        None,
        7,
        {"rows": []},
    ],
)
def test_a_buffer_of_another_shape_or_type_is_refused(rows, linear):
    with pytest.raises(InputRejected):
        linear.predict(rows)


def test_a_buffer_needs_no_numpy(linear, data):
    raw = memoryview(data.x[:2, :3].tobytes()).cast("d", (2, 3))
    assert linear.predict(raw) == linear.predict(np.ascontiguousarray(data.x[:2, :3]))


@pytest.mark.parametrize("offset", range(8))
def test_a_tensor_in_the_middle_of_a_body_may_lie_anywhere(offset, linear, data):
    rows = np.ascontiguousarray(data.x[:40, :3])
    body = bytes(offset) + rows.tobytes()
    assert linear.predict(np.frombuffer(body, offset=offset).reshape(40, 3)) == linear.predict(rows)


def test_names_of_columns_are_told_where_the_estimator_has_them(data, sealed):
    estimator = LinearRegression().fit(data.x[:, :2], data.real)
    estimator.feature_names_in_ = np.array(["age", "income"], dtype=object)
    model = sealed(estimator)
    assert model.names == ("age", "income")
    assert model.refuses([[1.0, math.nan]])[0]["column"] == "income"


# ---- threads


def test_one_model_answers_four_threads_rightly(data, sealed):
    models = [
        sealed(RandomForestClassifier(30, random_state=0).fit(data.x, data.three), "predict_proba"),
        sealed(make_pipeline(StandardScaler(), LogisticRegression()).fit(data.x, data.three), "predict_proba"),
    ]
    for model in models:
        single = [np.ascontiguousarray(data.x[at : at + 1]) for at in range(300)]
        expected = [model.predict(row) for row in single]
        batch = model.predict(data.x)

        def work(model=model, single=single, expected=expected, batch=batch) -> int:
            wrong = sum(model.predict(row) != answer for row, answer in zip(single, expected, strict=True))
            return wrong + (model.predict(data.x) != batch)

        with ThreadPoolExecutor(4) as pool:
            assert sum(future.result() for future in [pool.submit(work) for _ in range(16)]) == 0
