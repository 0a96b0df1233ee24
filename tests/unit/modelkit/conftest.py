"""Small trained models: one over numbers, one over mixed columns with missing cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlinfra.modelkit import Manifest, save_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APPLICANTS = {
    "inputs": {
        "age": {"type": "integer", "min": 18, "max": 120},
        "income": {"type": "number", "min": 0, "nullable": True},
        "home": {"type": "category", "values": ["rent", "owner", "other"], "nullable": True},
    }
}


@pytest.fixture(scope="session")
def numbers() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(200, 4))


@pytest.fixture(scope="session")
def linear(numbers: np.ndarray) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, (numbers[:, 0] > 0).astype(int))


@pytest.fixture(scope="session")
def applicants() -> np.ndarray:
    """Rows of age, income, home as an object array; every seventh income and eleventh home is missing."""
    rng = np.random.default_rng(8)
    rows = [
        [int(rng.integers(18, 90)), float(rng.normal(2000, 500)), str(rng.choice(["rent", "owner", "other"]))]
        for _ in range(200)
    ]
    for row in rows[::7]:
        row[1] = np.nan
    for row in rows[::11]:
        row[2] = None
    return np.array(rows, dtype=object)


@pytest.fixture(scope="session")
def scorer(applicants: np.ndarray) -> Any:
    """Answers `good` or `bad`."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]),
            ("words", OneHotEncoder(handle_unknown="ignore"), [2]),
        ]
    )
    truth = np.where(applicants[:, 0].astype(float) > 50, "good", "bad")
    return make_pipeline(columns, LogisticRegression()).fit(applicants, truth)


@pytest.fixture
def applicants_schema() -> dict[str, Any]:
    return APPLICANTS


@pytest.fixture
def save(tmp_path: Path, linear: Any, numbers: np.ndarray) -> Callable[..., tuple[Path, Manifest]]:
    """Save the linear model to a fresh folder."""

    def run(model: Any = None, example: Any = None, **options: Any) -> tuple[Path, Manifest]:
        folder = tmp_path / "package"
        chosen = numbers if example is None and model is None else example
        return folder, save_model(linear if model is None else model, folder, example=chosen, **options)

    return run
