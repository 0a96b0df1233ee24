"""What sealing is worth: the same rows through the estimator and through its sealed form, in one process, interleaved.

    .venv/bin/python benchmarks/sealing.py [--rounds 7] [--only forest]

Prints nanoseconds a row for requests of 1 and of 1,000 rows (medians over the rounds), and in how many of those rows
the two differ in a bit; then, in processes of their own, the time from start to the first answer and the memory of a
process that holds the model (PSS, which divides what processes share, and RSS, which does not). The sealed form runs as
a server runs it: opened from its file, digest checked. Everything has one thread, so that CPU time means the same.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlinfra.modelkit.sealing import open_sealed, seal
from mlinfra.modelkit.sealing.prove import differences

if TYPE_CHECKING:
    from collections.abc import Callable

_CREDIT = Path(__file__).parents[1] / "examples" / "credit" / "credit.csv"
_TEXT = ("Home", "Marital", "Records", "Job")
_NUMBERS = ("Seniority", "Time", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price")
_MANY = 1000
_SECONDS = 0.15  # spent on one measurement


@dataclass(frozen=True)
class Case:
    """A fitted estimator, the method that is served, and rows to ask it for."""

    name: str
    estimator: Any
    method: str
    rows: Any

    def sealed_rows(self, count: int) -> Any:
        """Rows as a server holds them: a buffer, or lists with None for missing cells."""
        if self.rows.dtype == np.float64:
            return np.ascontiguousarray(self.rows[:count])
        return [[None if cell != cell else cell for cell in row] for row in self.rows[:count].tolist()]  # noqa: PLR0124  NaN


def cases() -> list[Case]:
    """The three models that servers are usually compared with, two more, and the credit pipeline."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5000, 30))
    signal = x[:, 0] + x[:, 1] * x[:, 2] + rng.standard_normal(len(x)) * 0.5
    two, three = (signal > 0).astype(int), np.digitize(signal, [-0.5, 0.5])
    forest = RandomForestClassifier(200, random_state=0)
    table, outcome = credit()
    fitted = [
        ("logistic, scaled", make_pipeline(StandardScaler(), LogisticRegression()).fit(x, two), "predict_proba", x),
        ("forest, 200 trees", forest.fit(x, two), "predict_proba", x),
        ("forest regressor, 100 trees", RandomForestRegressor(100, random_state=0).fit(x, signal), "predict", x),
        ("boosting, 100 iterations", HistGradientBoostingClassifier().fit(x, two), "predict_proba", x),
        ("boosting, 3 classes", HistGradientBoostingClassifier().fit(x, three), "predict_proba", x),
        ("credit: imputer, one-hot, forest", credit_pipeline().fit(table, outcome), "predict_proba", table),
    ]
    return [Case(*parts) for parts in fitted]


def credit() -> tuple[Any, Any]:
    """The credit applications as a table of objects, and their outcomes."""
    with _CREDIT.open(newline="") as file:
        applicants = list(csv.DictReader(file))
    table = np.empty((len(applicants), len(_NUMBERS) + len(_TEXT)), dtype=object)
    for index, row in enumerate(applicants):
        numbers = [float(row[name]) if row[name] not in ("", "NA") else np.nan for name in _NUMBERS]
        table[index] = numbers + [row[name] if row[name] not in ("", "NA") else np.nan for name in _TEXT]
    return table, np.array([row["Status"] for row in applicants])


def credit_pipeline() -> Any:
    """Imputers, one-hot encoding and a forest of 200 trees."""
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = list(range(len(_NUMBERS)))
    columns = [len(_NUMBERS) + index for index in range(len(_TEXT))]
    parts = [("numbers", SimpleImputer(strategy="median"), numbers), ("text", text, columns)]
    return make_pipeline(ColumnTransformer(parts), RandomForestClassifier(200, random_state=0))


def time_calls(call: Callable[[], Any]) -> float:
    """Seconds of CPU one call takes, over enough calls to tell."""
    begin = time.perf_counter()
    call()
    count = max(1, int(_SECONDS / max(time.perf_counter() - begin, 1e-6)))
    begin = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - begin) / count


def compare(case: Case, model: Any, rounds: int, count: int) -> dict[str, float]:
    """Nanoseconds of CPU a row, estimator and sealed form in turn."""
    rows, sealed_rows = case.rows[:count], case.sealed_rows(count)
    ask = getattr(case.estimator, case.method)
    pairs = [(time_calls(lambda: ask(rows)), time_calls(lambda: model.predict(sealed_rows))) for _ in range(rounds)]
    estimator, sealed = (statistics.median(side) / count * 1e9 for side in zip(*pairs, strict=True))
    return {
        "estimator": estimator,
        "sealed": sealed,
        "times": estimator / sealed,
        "differing": differences(ask(rows), model.predict(sealed_rows)),
    }


_SEALED_CHILD = """
from mlinfra.modelkit.sealing import open_sealed
model = open_sealed({folder!r}, {document!r})
predictions = model.predict({row!r})
"""
_JOBLIB_CHILD = """
import joblib, numpy
model = joblib.load({path!r})
predictions = getattr(model, {method!r})(numpy.array({row!r}, dtype={dtype!r}))
"""
_AND_THEN = """
with open("/proc/self/smaps_rollup") as file:
    print(*(line.split()[1] for line in file if line.startswith(("Pss:", "Rss:"))))
"""


def cold_start(code: str, rounds: int) -> dict[str, float]:
    """Milliseconds from start to exit and MB after the first answer, of a process that does nothing else."""
    walls, rss, pss = [], [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code + _AND_THEN],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        walls.append((time.perf_counter() - begin) * 1e3)
        resident, shared = (int(number) / 1024 for number in done.stdout.split())
        rss.append(resident)
        pss.append(shared)
    median = statistics.median
    return {"wall_ms": median(walls), "rss_mb": median(rss), "pss_mb": median(pss)}


def measure(case: Case, rounds: int, folder: Path) -> dict[str, Any]:
    """Everything about one case; seals it on the way."""
    begin = time.perf_counter()
    document = seal(case.estimator, case.method, case.rows[:200], folder)
    seconds = time.perf_counter() - begin
    if "reason" in document:
        raise SystemExit(f"{case.name}: {document['reason']}")
    joblib.dump(case.estimator, folder / "model.joblib")
    model = open_sealed(folder, document)
    row = case.sealed_rows(1) if isinstance(case.sealed_rows(1), list) else case.rows[:1].tolist()
    joblib_row = [[float("nan") if cell is None else cell for cell in cells] for cells in row]
    load = {"path": str(folder / "model.joblib"), "method": case.method, "dtype": case.rows.dtype.name}
    return {
        "name": case.name,
        "seal_s": seconds,
        "sealed_kb": document["size"] / 1024,
        "joblib_kb": (folder / "model.joblib").stat().st_size / 1024,
        "one": compare(case, model, rounds, 1),
        "many": compare(case, model, rounds, _MANY),
        "sealed": cold_start(_SEALED_CHILD.format(folder=str(folder), document=document, row=row), rounds),
        "joblib": cold_start("nan = float('nan')" + _JOBLIB_CHILD.format(row=joblib_row, **load), rounds),
    }


def print_rows(results: list[dict[str, Any]]) -> None:
    """The two tables."""
    print(
        f"{'ns of CPU a row':34}{'estimator':>12}{'sealed':>9}{'times':>7}   {'estimator':>11}{'sealed':>8}{'times':>7}"
    )
    print(f"{'':34}{'1 row a request':>28}   {'1,000 rows a request':>26}{'differ':>8}")
    for result in results:
        one, many = result["one"], result["many"]
        print(
            f"{result['name']:34}{one['estimator']:12,.0f}{one['sealed']:9,.0f}{one['times']:7,.0f}   "
            f"{many['estimator']:11,.0f}{many['sealed']:8,.0f}{many['times']:7,.1f}"
            f"{one['differing'] + many['differing']:8.0f}"
        )
    heads = f"{'sealed: PSS, RSS':>24}{'joblib: PSS, RSS':>26}{'KB':>8}{'KB':>9}{'seal s':>8}"
    print(f"\n{'start to first answer':34}{heads}")
    for result in results:
        print(
            f"{result['name']:34}{start(result['sealed']):>24}{start(result['joblib']):>26}"
            f"{result['sealed_kb']:8,.0f}{result['joblib_kb']:9,.0f}{result['seal_s']:8.1f}"
        )


def start(figures: dict[str, float]) -> str:
    """The figures of a start in one cell."""
    return f"{figures['wall_ms']:,.0f} ms {figures['pss_mb']:4.0f} {figures['rss_mb']:4.0f} MB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--json", action="store_true", help="print the figures as one document")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = []
    with threadpool_limits(limits=1):
        for case in cases():
            if options.only in case.name:
                with tempfile.TemporaryDirectory() as folder:
                    results.append(measure(case, options.rounds, Path(folder)))
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print_rows(results)
    print(f"{'an empty interpreter':34}{start(cold_start('', options.rounds)):>24}")
    print(f"\n{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
