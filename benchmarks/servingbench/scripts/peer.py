"""What every peer that takes a function is given: the same model, asked in the same way.

BENCH_MODEL is the folder of `model.joblib`, BENCH_METHOD the estimator's method, BENCH_ROWS `arrays` or `records`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np

FOLDER = Path(os.environ["BENCH_MODEL"])
METHOD = os.environ.get("BENCH_METHOD", "predict")
RECORDS = os.environ.get("BENCH_ROWS") == "records"
PORT = int(os.environ.get("BENCH_PORT", "0"))


def load() -> Any:
    """The estimator."""
    return joblib.load(FOLDER / "model.joblib")


def table(instances: list[Any]) -> Any:
    """Rows as the estimator was trained on them."""
    if RECORDS:
        import pandas as pd  # noqa: PLC0415  only models of data frames pay for it

        return pd.DataFrame(instances)
    return np.asarray(instances)


def predict(model: Any, instances: list[Any]) -> list[Any]:
    """Predictions as plain values."""
    answers: list[Any] = getattr(model, METHOD)(table(instances)).tolist()
    return answers
