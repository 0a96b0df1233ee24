"""Train a credit-decision model: the probability that an applicant will not pay back."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

import mlinfra

CATEGORIES = ["Home", "Marital", "Records", "Job"]
NUMBERS = ["Seniority", "Time", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price"]
COLUMNS = [*NUMBERS, *CATEGORIES]


def main() -> None:
    """Train on all rows but the held-out ones, report the AUC on those, and save the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the applications, with their outcome in `Status`")
    parser.add_argument("--holdout", type=Path, required=True, help="the names of the rows to keep for the test")
    parser.add_argument("--model", type=Path, required=True, help="the folder for the model")
    parser.add_argument("--report", type=Path, required=True, help="the folder for the held-out predictions")
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--leaf", type=int, default=3, help="the fewest applicants in a leaf")
    options = parser.parse_args()

    train, held_out = split(options.data, options.holdout)
    model = pipeline(options.trees, options.leaf).fit(rows(train), outcomes(train))
    probabilities = model.predict_proba(rows(held_out))
    auc = roc_auc_score(outcomes(held_out), probabilities[:, 1])
    mlinfra.log_metric("auc", auc)
    print(f"AUC {auc:.4f} on {len(held_out)} held-out applicants")

    mlinfra.save_model(model, options.model, example=rows(train[:20]), method="predict_proba")
    write_report(options.report, held_out, probabilities)


def split(data: Path, holdout: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The applicants to learn from, and those kept for the test."""
    with data.open(newline="") as file:
        applicants = list(csv.DictReader(file))
    kept = set(holdout.read_text().split()[1:])
    return [row for row in applicants if row["rownames"] not in kept], [
        row for row in applicants if row["rownames"] in kept
    ]


def pipeline(trees: int, leaf: int) -> Pipeline:
    """Missing numbers become the median, missing categories the most frequent one."""
    numbers = SimpleImputer(strategy="median")
    categories = Pipeline(
        [
            ("fill", SimpleImputer(strategy="most_frequent", missing_values=None)),
            ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        ]
    )
    columns = ColumnTransformer(
        [
            ("numbers", numbers, list(range(len(NUMBERS)))),
            ("categories", categories, list(range(len(NUMBERS), len(COLUMNS)))),
        ]
    )
    forest = RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=0)
    return Pipeline([("columns", columns), ("forest", forest)])


def rows(applicants: list[dict[str, str]]) -> np.ndarray:
    """One row an applicant, in the order of the declared schema; missing cells are NaN or None."""
    return np.array([[cell(name, row[name]) for name in COLUMNS] for row in applicants], dtype=object)


def cell(name: str, text: str) -> float | str | None:
    """A value as the model takes it."""
    if name in CATEGORIES:
        return text or None
    return float(text) if text else float("nan")


def outcomes(applicants: list[dict[str, str]]) -> np.ndarray:
    """1 for those who did not pay back."""
    return np.array([row["Status"] == "bad" for row in applicants], dtype=int)


def write_report(folder: Path, held_out: list[dict[str, str]], probabilities: np.ndarray) -> None:
    """Keep what the model says of each held-out applicant, for whoever wants to compare."""
    folder.mkdir(parents=True, exist_ok=True)
    report = [
        {"row": row["rownames"], "prediction": list(pair)} for row, pair in zip(held_out, probabilities, strict=True)
    ]
    (folder / "held-out.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
