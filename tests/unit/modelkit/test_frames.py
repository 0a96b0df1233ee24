"""Data frames, missing cells of text, and examples in another form than the training table's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlinfra.errors import SpecError
from mlinfra.modelkit import load_predictor, save_model

pytestmark = pytest.mark.thorough  # a second each: what is saved is sealed and proved

SCHEMA = {
    "inputs": {
        "income": {"type": "number", "nullable": True},
        "age": {"type": "number"},
        "home": {"type": "category", "values": ["rent", "owner", "other"], "nullable": True},
    }
}
ROWS = [[0.1, 40, "rent"], [None, 20, None], [2.0, 70, "owner"], [None, 33, "other"]]
UNKNOWN = object()


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    homes = rng.choice(["rent", "owner", "other"], 300)
    return pd.DataFrame({"income": rng.normal(size=300), "age": rng.integers(18, 90, 300), "home": homes})


@pytest.fixture(scope="module")
def outcome(frame):
    return ((frame.income + frame.age / 50 + (frame.home == "rent")) > 1.5).astype(int)


def pipeline(*, missing=np.nan, numbers=("income", "age"), words=("home",)):
    text = make_pipeline(
        SimpleImputer(strategy="most_frequent", missing_values=missing),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    columns = ColumnTransformer([("numbers", SimpleImputer(), list(numbers)), ("words", text, list(words))])
    return make_pipeline(columns, RandomForestClassifier(5, random_state=0))


def by_position(missing=np.nan):
    return pipeline(missing=missing, numbers=(0, 1), words=(2,))


def answers(folder):
    """By the sealed form where there is one, and by the estimator alone."""
    predictor = load_predictor(folder)
    served = predictor.predict(ROWS)
    (folder / "sealed.bin").unlink()
    document = predictor.manifest.as_document()
    estimator = type(predictor)(folder, predictor.manifest, None, "for the test")
    assert document["files"]
    return predictor.way, served, estimator.predict(ROWS)


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_a_model_of_a_data_frame_is_sealed_and_answers_as_its_estimator(frame, outcome, tmp_path, dtype):
    table = frame.assign(home=frame.home.astype(dtype))
    model = pipeline().fit(table, outcome)
    save_model(model, tmp_path / "model", example=table, schema=SCHEMA)
    way, sealed, estimator = answers(tmp_path / "model")
    assert way == "sealed"
    assert sealed == estimator == model.predict(pd.DataFrame(ROWS, columns=list(table))).tolist()


@pytest.mark.parametrize("missing", [np.nan, None])
@pytest.mark.parametrize("named", [True, False])
def test_missing_text_is_what_the_estimator_takes_for_missing_though_no_example_shows_it(
    frame, outcome, tmp_path, missing, named
):
    table = frame.assign(home=frame.home.astype(object))
    example = table if named else table.to_numpy(dtype=object)
    model = (pipeline if named else by_position)(missing=missing).fit(example, outcome)
    manifest = save_model(model, tmp_path / "model", example=example, schema=SCHEMA)
    assert manifest.input["missing"] == ({"home": "nan"} if missing is not None else {})
    way, sealed, estimator = answers(tmp_path / "model")
    assert way == "sealed"
    assert sealed == estimator


@pytest.mark.parametrize("absent", [["c"], ["c", "d"]])
def test_boosting_on_categories_answers_a_request_without_any_of_them(frame, outcome, tmp_path, absent):
    table = frame.assign(c=pd.Categorical(frame.home), d=pd.Categorical(np.where(frame.age > 50, "old", "young")))
    table = table[["income", "c", "d"]]
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20).fit(table, outcome)
    save_model(model, tmp_path / "model", example=table.head(100))
    row = [None if name in absent else cell for name, cell in zip(table, [0.5, "rent", "old"], strict=True)]
    typed = {
        name: pd.Categorical([cell], categories=table[name].cat.categories)
        for name, cell in zip("cd", row[1:], strict=True)
    }
    expected = model.predict(pd.DataFrame({"income": [0.5], **typed})).tolist()

    predictor = load_predictor(tmp_path / "model")
    assert (predictor.way, predictor.reason) == ("sealed", "")
    assert predictor.predict([row]) == expected
    (tmp_path / "model" / "sealed.bin").unlink()
    assert type(predictor)(tmp_path / "model", predictor.manifest, None, "for the test").predict([row]) == expected


class Opaque:
    """A model that nobody can take apart: it tells what it is given for a missing cell."""

    def predict(self, rows):
        return ["none" if row[2] is None else "text" if isinstance(row[2], str) else "nan" for row in rows]


@pytest.mark.parametrize(("shown", "expected"), [(None, "none"), (np.nan, "nan"), (UNKNOWN, "nan")])
def test_a_model_that_cannot_be_taken_apart_gets_what_the_example_says_elsewhere(
    frame, tmp_path, monkeypatch, shown, expected
):
    monkeypatch.setattr("mlinfra.modelkit.estimator._refuse_main", lambda _path: None)
    example = frame[["income", "age", "home"]].to_numpy(dtype=object)
    example = np.column_stack([example, example[:, 2]])
    if shown is not UNKNOWN:
        example[7, 3] = shown
    schema = {"inputs": {**SCHEMA["inputs"], "former": SCHEMA["inputs"]["home"]}}
    save_model(Opaque(), tmp_path / "model", example=example, schema=schema)
    assert load_predictor(tmp_path / "model").predict([[0.1, 40, None, "rent"]]) == [expected]


def test_objects_are_an_example_for_a_model_of_an_array_whatever_the_order_of_their_keys(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    model = RandomForestClassifier(5, random_state=0).fit(x, x[:, 0] > 0)
    rows = [dict(zip("abc", row, strict=True)) for row in x.tolist()]
    rows[3] = dict(reversed(rows[3].items()))
    manifest = save_model(model, tmp_path / "model", example=rows)
    assert manifest.sealed["kind"] == "forest-classifier"
    assert load_predictor(tmp_path / "model").predict(x[:20].tolist()) == model.predict(x[:20]).tolist()


def test_objects_are_an_example_for_a_model_of_an_object_array(frame, outcome, tmp_path):
    table = frame.to_numpy(dtype=object)
    model = by_position().fit(table, outcome)
    save_model(model, tmp_path / "model", example=frame.to_dict("records"), schema=SCHEMA)
    way, sealed, estimator = answers(tmp_path / "model")
    assert way == "sealed"
    assert sealed == estimator


def test_columns_in_another_order_than_fitted_are_served_by_the_estimator_with_the_reason(frame, outcome, tmp_path):
    model = pipeline().fit(frame, outcome)
    turned = frame[["home", "age", "income"]]
    manifest = save_model(model, tmp_path / "model", example=turned)
    assert "another order" in manifest.sealed["reason"]
    expected = model.predict(turned[:20]).tolist()
    assert load_predictor(tmp_path / "model").predict(turned[:20].to_numpy().tolist()) == expected


def test_categories_of_the_data_frame_are_told_apart_in_a_request_of_one_row(frame, outcome, tmp_path):
    table = frame.assign(home=frame.home.astype("category"))
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20).fit(table, outcome)
    save_model(model, tmp_path / "model", example=table)
    predictor = load_predictor(tmp_path / "model")
    singly = [predictor.predict([row])[0] for row in table[:40].to_numpy().tolist()]
    assert singly == model.predict(table[:40]).tolist()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["2026-01-01", "2026-01-02"], "datetime64[ns]"),
        (["2026-01-01", "2026-01-02"], "datetime64[ns, UTC]"),
        ([1, 2], "timedelta64[ns]"),
    ],
)
def test_times_are_refused_since_they_would_pass_for_whole_numbers(tmp_path, values, dtype):
    table = pd.DataFrame({"when": pd.Series(values).astype(dtype)})
    with pytest.raises(SpecError, match=r"when: holds (datetime|timedelta)64"):
        save_model(RandomForestClassifier(), tmp_path / "model", example=table)


def test_times_in_an_array_are_refused(tmp_path):
    table = np.array([["2026-01-01"], ["2026-01-02"]], dtype="datetime64[s]")
    with pytest.raises(SpecError, match="holds datetime64"):
        save_model(RandomForestClassifier(), tmp_path / "model", example=table)


def test_nullable_integers_with_a_missing_one_are_read_and_answered(frame, outcome, tmp_path):
    table = frame.assign(age=frame.age.astype("Int64"))
    table.loc[3, "age"] = pd.NA
    model = pipeline().fit(table, outcome)
    manifest = save_model(model, tmp_path / "model", example=table)
    column = manifest.schema.columns[1]
    assert (column.type, column.nullable) == ("integer", True)
    expected = model.predict(table[:10]).tolist()
    cells = [[None if pd.isna(cell) else cell for cell in row] for row in table[:10].to_numpy().tolist()]
    assert load_predictor(tmp_path / "model").predict(cells) == expected


def test_missing_cells_of_the_example_come_back_as_they_were(frame, outcome, tmp_path):
    table = frame.copy()
    table.loc[2, "home"] = None
    table.loc[4, "income"] = np.nan
    model = pipeline().fit(table, outcome)
    manifest = save_model(model, tmp_path / "model", example=table)
    assert [column.nullable for column in manifest.schema.columns] == [True, False, True]
    way, sealed, estimator = answers(tmp_path / "model")
    assert way == "sealed"
    assert sealed == estimator
