"""Models of every kind that can be sealed, and rows that are as awkward as rows can be."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mlinfra.modelkit.sealing import build, open_sealed, seal
from mlinfra.modelkit.sealing.prove import differences

build.build()  # the tests are about the walk as the source has it


class Data:
    """A small table with twelve numbers, and targets of every sort."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        rows = 1500
        self.x = rng.standard_normal((rows, 12))
        self.x[:, 3] = np.round(self.x[:, 3] * 3)
        self.x[:, 5] = rng.integers(0, 6, rows)
        self.x[:, 8] *= 1e6
        self.missing = self.x.copy()
        self.missing[rng.random(self.x.shape) < 0.1] = np.nan
        signal = self.x[:, 0] + self.x[:, 1] * self.x[:, 2]
        self.real = signal * 3 + rng.standard_normal(rows)
        self.positive = np.exp(signal / 3)
        self.binary = (signal + rng.standard_normal(rows) * 0.3 > 0).astype(int)
        self.three = np.digitize(signal, [-0.5, 0.5])
        self.ten = np.digitize(signal, np.linspace(-2, 2, 9))
        self.text = np.where(self.binary, "good", "bad")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Histogram boosting spins while it waits for its threads, for seconds where the cores are busy."""
    with threadpool_limits(limits=1, user_api="openmp"):
        yield


@pytest.fixture(scope="session")
def data() -> Data:
    return Data()


@pytest.fixture(scope="session")
def mixed() -> tuple[Any, Any]:
    """Rows with four numbers and three columns of text, with holes, as an object array; and labels."""
    rng = np.random.default_rng(11)
    rows = 1500
    table = np.empty((rows, 7), dtype=object)
    for column in range(4):
        table[:, column] = np.round(rng.standard_normal(rows) * 10 ** (column + 1), 2)
    home = rng.choice(["owner", "rent", "parents", "other"], rows)
    table[:, 4] = home
    table[:, 5] = rng.choice(["yes", "no"], rows)
    table[:, 6] = rng.choice(["fixed", "partime", "freelance", "others", "été"], rows)
    signal = table[:, 0].astype(float) / 10 + (home == "owner") + rng.standard_normal(rows) * 0.5
    table[rng.random(table.shape) < 0.07] = math.nan
    return table, np.where(signal > 0.3, "good", "bad")


@pytest.fixture
def quiet():
    """The estimators warn about names and unknown categories; the tests are about their answers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def sealed(tmp_path, quiet):
    """Seals a fitted estimator, insists that it worked, and opens what was written."""

    def run(estimator: Any, method: str = "predict", example: Any = None) -> Any:
        document = seal(estimator, method, example, tmp_path)
        assert "reason" not in document, document["reason"]
        return open_sealed(tmp_path, document)

    return run


@pytest.fixture
def differing():
    """In how many rows the sealed form's predictions differ from an estimator's array: shape, types, bits."""
    return differences


@pytest.fixture(scope="session")
def awkward():
    """Rows on and beside given thresholds, with zeros of both signs, subnormals and large numbers among them."""

    def run(x: Any, thresholds: dict[int, Any], count: int, *, missing: bool, wide: bool, seed: int = 3) -> Any:
        rng = np.random.default_rng(seed)
        rows = x[rng.integers(0, len(x), count)].copy()
        for column, values in thresholds.items():
            chosen = np.flatnonzero(rng.random(count) < 0.4)
            rows[chosen, column] = _beside(rng, rng.choice(values, len(chosen)))
        odd = rng.random(rows.shape) < 0.01
        rows[odd] = rng.choice([0.0, -0.0, 5e-324, 1e-320, -1e-45, 3e38, -3e38, 2.0**53, 0.1], odd.sum())
        if missing:
            rows[rng.random(rows.shape) < 0.05] = np.nan
        if wide:
            odd = rng.random(rows.shape) < 0.01
            rows[odd] = rng.choice([np.inf, -np.inf, 1e308, -1e308], odd.sum())
        return rows

    return run


def _beside(rng: Any, values: Any) -> Any:
    """Each value, a neighbour of it as float64 or float32, or the middle between two float32."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
        up, down = np.nextafter(narrow, np.float32(np.inf)), np.nextafter(narrow, np.float32(-np.inf))
    ways = np.stack(
        [
            values,
            np.nextafter(values, np.inf),
            np.nextafter(values, -np.inf),
            narrow.astype(float),
            up.astype(float),
            down.astype(float),
            (narrow.astype(float) + up.astype(float)) / 2,
        ]
    )
    return ways[rng.integers(0, len(ways), len(values)), np.arange(len(values))]
