"""The models that every server is given, and the rows that it is asked for; run as a program, it makes them.

python servingbench/cases.py FOLDER

Each case is a folder with `model.joblib`, `package` (the same estimator as the kit packs it) and `questions.json`:
one-row and 1,000-row requests with the estimator's own answers, asked in batches of the same size.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CREDIT = Path(__file__).parents[2] / "examples" / "credit" / "credit.csv"
WORDS = ("Home", "Marital", "Records", "Job")
NUMBERS = ("Seniority", "Time", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price")
SINGLE = 64  # different one-row requests
MANY = 1000  # rows of a large request
BATCHES = 4  # different large requests
WIDTH = 30
SMALL = 8  # different small models, of which a fleet is made
SLOW = """\
import time


def predict(rows):
    until = time.thread_time() + 0.003
    while time.thread_time() < until:
        pass
    return [row["x"] for row in rows]
"""


@dataclass(frozen=True)
class Case:
    """A model and how it is asked."""

    name: str
    about: str
    method: str = "predict"
    rows: str = "arrays"  # or "records": objects by column


CASES = {
    case.name: case
    for case in (
        Case("logistic", "standard scaler and logistic regression, 30 numbers"),
        Case("forest", "random forest of 200 trees, 30 numbers"),
        Case("boosting", "histogram gradient boosting of 100 iterations, 30 numbers"),
        Case("credit-linear", "imputers, scaler, one-hot encoder, logistic regression", "predict_proba", "records"),
        Case("credit-forest", "imputers, one-hot encoder, random forest of 200 trees", "predict_proba", "records"),
        Case("slow", "a function that takes 3 ms of CPU a request", rows="records"),
    )
}


def questions(folder: Path, case: str) -> dict[str, Any]:
    """{"single": [{"rows", "answers"}…], "many": […]} of a case."""
    document: dict[str, Any] = json.loads((folder / case / "questions.json").read_bytes())
    return document


def make(folder: Path) -> None:
    """Train, pack and ask every model."""
    estimators = {**_numeric(), **_credit()}
    for name, (estimator, example, schema) in estimators.items():
        _write(folder / name, CASES[name], estimator, example, schema=schema)
    _write_slow(folder / "slow")
    _write_small(folder)


def _numeric() -> dict[str, tuple[Any, Any, Any]]:
    import numpy as np  # noqa: PLC0415  the benchmark reads this module too, and measures without numpy
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    rng = np.random.default_rng(0)
    x = rng.standard_normal((5000, WIDTH))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.standard_normal(len(x)) * 0.5 > 0).astype(int)
    schema = {"inputs": {f"x{index}": {"type": "number", "min": -100, "max": 100} for index in range(WIDTH)}}
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
        "forest": RandomForestClassifier(200, random_state=0),
        "boosting": HistGradientBoostingClassifier(),
    }
    return {name: (model.fit(x, y), x, schema) for name, model in models.items()}


def _credit() -> dict[str, tuple[Any, Any, Any]]:
    import pandas as pd  # type: ignore[import-untyped]  # has no types of its own  # noqa: PLC0415  as in _numeric
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415
    from sklearn.impute import SimpleImputer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    with CREDIT.open(newline="") as file:
        applicants = [row for row in csv.DictReader(file) if all(row[name] for name in (*NUMBERS, *WORDS))]
    columns = {name: [float(row[name]) for row in applicants] for name in NUMBERS}
    table = pd.DataFrame({**columns, **{name: [row[name] for row in applicants] for name in WORDS}})
    outcome = [row["Status"] for row in applicants]
    ranges = {name: {"type": "number", "min": 0, "max": 10_000_000, "nullable": True} for name in NUMBERS}
    values = {name: {"type": "category", "values": sorted(set(table[name]))} for name in WORDS}
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    fill = SimpleImputer(strategy="median")

    def pipeline(numbers: Any, model: Any) -> Any:
        parts = [("numbers", numbers, list(NUMBERS)), ("words", words, list(WORDS))]
        return make_pipeline(ColumnTransformer(parts), model).fit(table, outcome)

    scaled = make_pipeline(fill, StandardScaler())
    return {
        "credit-linear": (pipeline(scaled, LogisticRegression(max_iter=1000)), table, {"inputs": {**ranges, **values}}),
        "credit-forest": (
            pipeline(fill, RandomForestClassifier(200, min_samples_leaf=3, random_state=0)),
            table,
            {"inputs": {**ranges, **values}},
        ),
    }


def _write(folder: Path, case: Case, estimator: Any, example: Any, *, schema: Any, asked: Any = None) -> None:
    import joblib  # noqa: PLC0415  as in _numeric

    from mlinfra.modelkit import save_model  # noqa: PLC0415  as in _numeric

    manifest = save_model(estimator, folder / "package", example=example, schema=schema, method=case.method)
    if not manifest.sealed or "file" not in manifest.sealed:
        raise SystemExit(f"{case.name} was not sealed: {manifest.sealed}")
    joblib.dump(estimator, folder / "model.joblib")
    table = _fresh(case, example) if asked is None else asked
    document = {
        "single": [_question(case, estimator, table[at : at + 1]) for at in range(min(SINGLE, len(table)))],
        "many": [_question(case, estimator, table[at : at + MANY]) for at in range(0, len(table) - MANY + 1, MANY)],
    }
    (folder / "questions.json").write_text(json.dumps(document))


def _write_slow(folder: Path) -> None:
    from mlinfra.modelkit import save_model  # noqa: PLC0415  as in _numeric

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slow.py").write_text(SLOW)
    rows = [{"x": 0.5}]
    save_model(folder / "slow.py", folder / "package", example=rows)
    (folder / "questions.json").write_text(json.dumps({"single": [{"rows": rows, "answers": [0.5]}]}))


def _write_small(folder: Path) -> None:
    """Forests of five trees that differ, as an energy company has one for each of its meters."""
    import numpy as np  # noqa: PLC0415  as in _numeric
    from sklearn.ensemble import RandomForestRegressor  # noqa: PLC0415

    for number in range(SMALL):
        rng = np.random.default_rng(number)
        x = rng.standard_normal((300, 6))
        model = RandomForestRegressor(5, max_depth=6, random_state=number).fit(x, x[:, 0] * rng.standard_normal())
        case = Case(f"small-{number}", "a small forest")
        _write(folder / case.name, case, model, x, schema=None, asked=x[:1])


def _fresh(case: Case, example: Any) -> Any:
    """Rows to ask for; of the numeric models they are none that it was trained on."""
    import numpy as np  # noqa: PLC0415  as in _numeric

    if case.rows == "records":
        return example
    return np.random.default_rng(1).standard_normal((BATCHES * MANY, WIDTH))


def _question(case: Case, estimator: Any, rows: Any) -> dict[str, Any]:
    listed = rows.to_dict("records") if case.rows == "records" else rows.tolist()
    return {"rows": listed, "answers": getattr(estimator, case.method)(rows).tolist()}


if __name__ == "__main__":
    make(Path(sys.argv[1]))
