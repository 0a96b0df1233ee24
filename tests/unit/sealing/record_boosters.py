"""Records small models of LightGBM and XGBoost with their answers: python record_boosters.py FOLDER

Run by hand in an environment that has both; the tests read what it wrote, so that they need neither. Numbers are
written as `float.hex`, so no bit is lost.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost


def rows(thresholds: list[float], rng: np.random.Generator) -> Any:
    """Rows on thresholds, beside them, and with what an input can hold at worst."""
    values = np.array(thresholds)
    narrow = values.astype(np.float32)
    near = [values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf), narrow.astype(float)]
    near += [np.nextafter(narrow, np.float32(side)).astype(float) for side in (np.inf, -np.inf)]
    odd = [0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, 5e-324, 1e300, -1e300, math.inf, -math.inf, math.nan]
    return rng.choice(np.concatenate([*near, odd]), (60, 4))


def models(x: Any, rng: np.random.Generator) -> list[tuple[str, Any]]:
    """One of each ending."""
    whole = np.nan_to_num(x)
    signal = whole[:, 0] + whole[:, 1] * whole[:, 2] + 2 * (whole[:, 3] >= 0)  # a threshold at 0 and its rule
    two, three, real = (signal > 0).astype(int), np.digitize(signal, [-0.5, 0.5]), signal * 3 + 100
    small = {"n_estimators": 6, "random_state": 0}
    lgb = {**small, "num_leaves": 7, "verbose": -1}
    return [
        ("lightgbm", lightgbm.LGBMClassifier(**lgb).fit(x, np.array(["bad", "good"])[two])),
        ("lightgbm", lightgbm.LGBMClassifier(**lgb).fit(whole, two)),
        ("lightgbm", lightgbm.LGBMClassifier(**lgb).fit(x, three)),
        ("lightgbm", lightgbm.LGBMRegressor(**lgb).fit(whole, real)),
        ("lightgbm", lightgbm.LGBMRegressor(**lgb).fit(whole, np.ones(len(x)))),
        ("xgboost", xgboost.XGBClassifier(max_depth=3, **small).fit(x, two)),
        ("xgboost", xgboost.XGBClassifier(max_depth=3, **small).fit(x, three)),
        ("xgboost", xgboost.XGBRegressor(max_depth=3, **small).fit(x, real)),
    ]


def text_of(library: str, model: Any) -> str:
    """The model as its library writes it."""
    if library == "lightgbm":
        return str(model.booster_.model_to_string())
    return bytes(model.get_booster().save_raw("json")).decode()


def thresholds_of(library: str, text: str) -> list[float]:
    """Every threshold in the text."""
    if library == "lightgbm":
        lines = [line[len("threshold=") :] for line in text.splitlines() if line.startswith("threshold=")]
        return [float(number) for line in lines for number in line.split()] or [0.0]
    trees = json.loads(text)["learner"]["gradient_booster"]["model"]["trees"]
    return [float(np.float32(number)) for tree in trees for number in tree["split_conditions"]]


def hexed(value: Any) -> Any:
    """Floats as text, through lists."""
    if isinstance(value, list):
        return [hexed(item) for item in value]
    return value.hex() if isinstance(value, float) else value


def main() -> None:
    """Write one document a library."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((800, 4))
    x[:, 3] = np.round(x[:, 3])
    x[rng.random(x.shape) < 0.1] = np.nan
    found: dict[str, list[Any]] = {"lightgbm": [], "xgboost": []}
    for library, model in models(x, rng):
        text = text_of(library, model)
        asked = rows(thresholds_of(library, text), rng)
        methods = [name for name in ("predict", "predict_proba") if hasattr(model, name)]
        answers = {name: hexed(getattr(model, name)(asked).tolist()) for name in methods}
        labels = model.classes_.tolist() if hasattr(model, "classes_") else None
        found[library].append({"labels": labels, "text": text, "rows": hexed(asked.tolist()), "answers": answers})
    for library, cases in found.items():
        version = sys.modules[library].__version__
        document = {"library": library, "version": version, "cases": cases}
        Path(sys.argv[1], f"{library}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
