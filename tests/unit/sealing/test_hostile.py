"""A sealed file may come from anywhere: whatever is in it, the process that opens it lives on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlinfra.modelkit.sealing import seal

_CHILD = Path(__file__).with_name("corrupted.py")
_CORRUPTIONS = 400  # a file; six files


def _models(data, mixed):
    table, labels = mixed
    parts = [("n", SimpleImputer(), [0, 1]), ("c", OneHotEncoder(handle_unknown="ignore"), [4, 5])]
    yield "numbers", 12, RandomForestClassifier(8, random_state=0), data.missing, data.three
    yield (
        "numbers",
        12,
        HistGradientBoostingClassifier(max_iter=6, categorical_features=[3, 5]),
        data.missing,
        data.three,
    )
    yield "numbers", 12, GradientBoostingClassifier(n_estimators=8), data.x, data.binary
    yield "numbers", 12, make_pipeline(StandardScaler(), LogisticRegression()), data.x, data.three
    sparse = ColumnTransformer(parts, sparse_threshold=1.0)
    yield "cells", 7, make_pipeline(sparse, LogisticRegression(max_iter=500)), table, labels
    yield "cells", 7, HistGradientBoostingClassifier(max_iter=8, categorical_features=[4, 5, 6]), table, labels


@pytest.mark.thorough
def test_2_400_corrupted_files_are_refused_or_harmless(data, mixed, tmp_path, quiet):
    found = []
    for form, columns, estimator, x, y in _models(data, mixed):
        document = seal(estimator.fit(x, y), "predict_proba", x[:50], tmp_path)
        command = [sys.executable, "-W", "ignore", str(_CHILD), str(tmp_path / document["file"]), form, str(columns)]
        done = subprocess.run([*command, str(_CORRUPTIONS)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (estimator, done.stdout.split()[-1], done.stderr[-2000:])
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert sum(one["refused"] for one in found) > 1000  # the checks do find what is broken
    assert sum(one["answered"] for one in found) > 1000  # and what passes them was really walked


def test_the_child_would_notice_a_crash():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode != 0


def test_a_missing_value_in_a_forged_place_is_no_index(data, tmp_path):
    """A category code comes from a float; what is out of range must not be read past a set."""
    estimator = HistGradientBoostingClassifier(max_iter=6, categorical_features=[3]).fit(data.missing, data.binary)
    document = seal(estimator, "predict", data.missing[:50], tmp_path)
    from mlinfra.modelkit.sealing.opened import open_program  # noqa: PLC0415  beside what it is used with
    from mlinfra.modelkit.sealing.program import from_buffer  # noqa: PLC0415  beside what it is used with

    program = from_buffer(Path(tmp_path / document["file"]).read_bytes())
    ops = bytearray(program.array("ops"))
    ops[:] = bytes(len(ops))  # every operation becomes "fill with 0": codes are then any number
    forged = open_program(program.__class__(**{**vars(program), "arrays": {**program.arrays, "ops": bytes(ops)}}))
    for value in (-1.0, 255.5, 256.0, 1e30, -1e30, math.inf, -math.inf):
        assert forged.predict([[value] * 12] * 9)
