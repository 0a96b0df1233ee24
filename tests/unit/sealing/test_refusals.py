"""What is not on the list keeps its estimator, with a reason in words, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier as OneVsRest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from mlinfra.modelkit.sealing import allow, seal, sealer


def _forest(**options):
    return RandomForestClassifier(3, random_state=0, **options)


def _after(step):
    return make_pipeline(step, LogisticRegression(max_iter=50))


def _scaled_with_frames():
    return StandardScaler().set_output(transform="pandas")


def _sparse():
    return ColumnTransformer([("a", OneHotEncoder(handle_unknown="ignore"), [3, 5])], sparse_threshold=1.0)


_CASES = {
    "another model": (SVC, "sklearn.svm._classes.SVC is not among the types"),
    "another model in a pipeline": (lambda: _after(StandardScaler()).set_params(logisticregression=SVC()), "SVC"),
    "neighbours": (KNeighborsClassifier, "KNeighborsClassifier is not among"),
    "an ensemble of others": (lambda: VotingClassifier([("a", _forest())]), "VotingClassifier is not among"),
    "another transformer": (lambda: _after(PCA(3)), "PCA is not among"),
    "a function": (lambda: _after(FunctionTransformer(np.abs)), "a function of your own is not sealed"),
    "an indicator": (lambda: _after(SimpleImputer(add_indicator=True)), "add_indicator=True"),
    "another missing value": (lambda: _after(SimpleImputer(missing_values=0)), "missing_values=0"),
    "a dropped category": (
        lambda: _after(make_pipeline(OrdinalEncoder(), OneHotEncoder(drop="first", handle_unknown="ignore"))),
        "drop='first'",
    ),
    "rare categories": (
        lambda: _after(OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist")),
        "min_frequency=5",
    ),
    "float32 encoders": (lambda: _after(OneHotEncoder(dtype=np.float32, handle_unknown="ignore")), "only float64"),
    "a scaler over a sparse matrix": (
        lambda: make_pipeline(_sparse(), StandardScaler(with_mean=False), LogisticRegression()),
        "works on a sparse matrix",
    ),
    "weights of transformers": (
        lambda: _after(ColumnTransformer([("a", StandardScaler(), [0, 1])], transformer_weights={"a": 2.0})),
        "transformer_weights",
    ),
    "another loss": (lambda: GradientBoostingClassifier(n_estimators=2, loss="exponential"), "loss='exponential'"),
    "another start": (
        lambda: GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(max_iter=50)),
        "only constant starts",
    ),
    "a model a class": (lambda: OneVsRest(LogisticRegression(solver="liblinear")), "is not among"),
    "threads": (lambda: _forest(n_jobs=2), "n_jobs=2"),
}


@pytest.mark.parametrize("case", _CASES)
def test_an_estimator_that_is_not_on_the_list_is_refused_with_its_reason(case, data, tmp_path, quiet):
    make, reason = _CASES[case]
    estimator = make().fit(data.x, data.binary)
    assert reason in seal(estimator, "predict", data.x[:50], tmp_path)["reason"]
    assert list(tmp_path.iterdir()) == []


def test_more_than_one_output_is_refused(data, tmp_path):
    two = np.stack([data.real, data.positive], axis=1)
    for estimator in (RandomForestRegressor(3), LinearRegression()):
        assert "more than one output" in seal(estimator.fit(data.x, two), "predict", None, tmp_path)["reason"]


def test_a_target_of_one_column_is_refused_since_its_predictions_are_a_table(data, tmp_path):
    estimator = LinearRegression().fit(data.x, data.real.reshape(-1, 1))
    assert "more than one output" in seal(estimator, "predict", None, tmp_path)["reason"]


def test_a_single_class_is_refused(data, tmp_path):
    estimator = _forest().fit(data.x, np.zeros(len(data.x)))
    assert "a single class" in seal(estimator, "predict", None, tmp_path)["reason"]


@pytest.mark.parametrize(("method", "reason"), [("decision_function", "not sealed"), ("predict_proba", "has no")])
def test_another_method_is_refused(method, reason, data, tmp_path):
    assert reason in seal(LinearRegression().fit(data.x, data.real), method, None, tmp_path)["reason"]


def test_a_method_replaced_on_the_object_is_refused(data, tmp_path):
    estimator = _forest().fit(data.x, data.binary)
    estimator.predict = lambda rows: rows
    assert "was replaced" in seal(estimator, "predict", None, tmp_path)["reason"]


def test_an_estimator_that_is_not_fitted_is_refused(tmp_path):
    assert "not fitted" in seal(_forest(), "predict", None, tmp_path)["reason"]


@pytest.mark.parametrize("thing", [None, 7, "model", object(), {"a": 1}])
def test_what_is_no_estimator_is_refused(thing, tmp_path):
    assert seal(thing, "predict", None, tmp_path)["reason"]


def test_transformers_that_put_out_data_frames_are_refused(data, tmp_path):
    estimator = _after(StandardScaler()).fit(data.x, data.binary)
    estimator[0].set_output(transform="pandas")
    assert "set_output" in seal(estimator, "predict", None, tmp_path)["reason"]


def test_a_library_set_to_data_frames_is_refused(data, tmp_path):
    with config_context(transform_output="pandas"):
        assert "transform_output" in seal(_forest().fit(data.x, data.binary), "predict", None, tmp_path)["reason"]


def test_an_example_in_float32_is_refused_since_rows_would_be_rounded_first(data, tmp_path):
    estimator = _forest().fit(data.x, data.binary)
    assert "float32" in seal(estimator, "predict", data.x[:5].astype(np.float32), tmp_path)["reason"]


def test_an_example_of_another_width_is_refused(data, tmp_path):
    estimator = _forest().fit(data.x, data.binary)
    assert "12 cells" in seal(estimator, "predict", data.x[:5, :4], tmp_path)["reason"]


def test_a_version_that_was_not_tested_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setitem(allow.VERSIONS, "sklearn", ("0.1.0",))
    reason = seal(_forest().fit(data.x, data.binary), "predict", None, tmp_path)["reason"]
    assert "is not among the versions tested (0.1.0)" in reason


def test_the_installed_version_is_one_that_was_tested():
    """Whoever renews the lock runs the slow tests here first, and then adds the version."""
    assert sklearn.__version__ in allow.VERSIONS["sklearn"]


def test_columns_of_text_and_of_numbers_may_not_be_one(mixed, tmp_path, quiet):
    table, labels = mixed
    parts = [("a", OneHotEncoder(handle_unknown="ignore"), [4]), ("b", SimpleImputer(), [0, 1])]
    both = ColumnTransformer([*parts, ("c", OrdinalEncoder(), [0])])
    table = table.copy()
    table[:, 0] = [0.0 if cell != cell else cell for cell in table[:, 0]]  # noqa: PLR0124  NaN
    estimator = make_pipeline(both, _forest()).fit(table, labels)
    assert "is read both as" in seal(estimator, "predict", None, tmp_path)["reason"]


def test_a_refusal_keeps_the_file_that_was_there(data, tmp_path):
    good = seal(_forest().fit(data.x, data.binary), "predict", None, tmp_path)
    before = (tmp_path / good["file"]).read_bytes()
    assert "reason" in seal(SVC().fit(data.x, data.binary), "predict", None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [good["file"]]
    assert (tmp_path / good["file"]).read_bytes() == before


def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(data, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealer.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        seal(_forest().fit(data.x, data.binary), "predict", None, tmp_path)
    assert list(tmp_path.iterdir()) == []
