"""Other tools' packages served as they are: ONNX, MLflow with and without its library, a function of the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from mlinfra.modelkit import save_model

ROOT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlinfra-tests"


def test_a_function_of_the_users_own_is_asked_with_rows_by_column(start: Any, tmp_path: Path):
    (tmp_path / "one.py").write_text("def predict(rows):\n    return [row['x'] > 5 for row in rows]\n")
    save_model(tmp_path / "one.py", tmp_path / "model", example=[{"x": 1}])
    with start(tmp_path / "model") as server:
        assert server.predict([{"x": 4}, {"x": 6}]) == [False, True]
        assert server.get("/metadata").json["format"] == "python"
        assert server.post({"instances": [{"x": "no"}]}).status == 400


def test_a_module_that_was_not_saved_with_it_is_named(start: Any, tmp_path: Path):
    (tmp_path / "two.py").write_text(
        "from rules import LIMIT\n\ndef predict(rows):\n    return [LIMIT for _ in rows]\n"
    )
    save_model(tmp_path / "two.py", tmp_path / "model", example=[{"x": 1}])
    with start(tmp_path / "model", wait=False) as server:
        assert "rules" in json.dumps(server.event("failed"))
        assert server.process.wait(10) == 2


MLFLOW = """
import json, sys, warnings
from pathlib import Path

warnings.simplefilter("ignore")
import mlflow.pyfunc, mlflow.sklearn
import numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from mlinfra.modelkit import save_model

root = Path(sys.argv[1])
frame = pd.DataFrame(np.random.default_rng(4).normal(size=(60, 3)), columns=["a", "b", "c"])
model = LogisticRegression().fit(frame, (frame["a"] > 0).astype(int))

class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] * 2 + model_input["b"]

signature = infer_signature(frame, model.predict(frame))
mlflow.sklearn.save_model(model, root / "sklearn-flow", signature=signature, serialization_format="cloudpickle")
mlflow.pyfunc.save_model(root / "pyfunc-flow", python_model=Doubled(), signature=infer_signature(frame, frame["a"]))
for name in ("sklearn", "pyfunc"):
    save_model(root / f"{name}-flow", root / name, example=None)
    loaded = mlflow.pyfunc.load_model(str(root / f"{name}-flow"))
    answer = np.asarray(loaded.predict(frame)).tolist()
    (root / f"{name}.json").write_text(json.dumps({"rows": frame.to_dict("records"), "predictions": answer}))
"""


@pytest.mark.slow
def test_mlflow_models_give_what_mlflow_gives(start: Any, tmp_path: Path):
    """A scikit-learn flavour without MLflow's library, a Python flavour with it."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"file://{tmp_path}/runs"}
    made = subprocess.run(
        [sys.executable, "-c", MLFLOW, str(tmp_path)], env=environment, capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]
    for name in ("sklearn", "pyfunc"):
        expected = json.loads((tmp_path / f"{name}.json").read_text())
        with start(tmp_path / name) as server:
            assert server.predict(expected["rows"]) == expected["predictions"]
            assert server.get("/metadata").json["format"] == "mlflow"


SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from mlinfra.modelkit import save_model

root = Path(sys.argv[1])
rows = np.random.default_rng(4).normal(size=(60, 3)).astype(np.float32)
schema = {"inputs": {name: {"type": "number"} for name in ("a", "b", "c")}}
cases = {
    "labels": (RandomForestClassifier(10, random_state=0).fit(rows, rows[:, 0] > 0), "predict"),
    "chances": (RandomForestClassifier(10, random_state=0).fit(rows, rows[:, 0] > 0), "predict_proba"),
    "values": (LinearRegression().fit(rows, rows.sum(axis=1)), "predict"),
}
for name, (model, method) in cases.items():
    converted = to_onnx(model, rows[:1], options={"zipmap": False} if method != "predict" or name == "labels" else None)
    (root / f"{name}.onnx").write_bytes(converted.SerializeToString())
    save_model(root / f"{name}.onnx", root / name, example=rows[:5].tolist(), schema=schema, method=method)
    session = onnxruntime.InferenceSession(str(root / f"{name}.onnx"))
    outputs = session.run(None, {session.get_inputs()[0].name: rows})
    answer = outputs[-1 if method == "predict_proba" else 0]
    answer = answer.reshape(-1) if answer.ndim > 1 and answer.shape[1] == 1 else answer
    (root / f"{name}.json").write_text(json.dumps({"rows": rows.tolist(), "predictions": answer.tolist()}))
"""


@pytest.mark.slow
def test_onnx_gives_what_its_runtime_gives(start: Any, tmp_path: Path):
    """In an environment of its own: 302 MB installed, so neither package is in the lock."""
    folder = CACHE / "onnx-1"
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], check=True)
        install = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(python), "onnxruntime", "skl2onnx"]
        subprocess.run([*install, "httptools", "orjson", "pysimdjson", "uvloop"], check=True)
        (folder / "done").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([str(python), "-c", SCRIPT, str(tmp_path)], check=True, env=environment, capture_output=True)
    for name in ("labels", "chances", "values"):
        expected = json.loads((tmp_path / f"{name}.json").read_text())
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in expected["rows"]))
        command = [str(python), "-m", "mlinfra.serving", "batch", "--model", str(tmp_path / name)]
        command += ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / f"{name}.jsonl")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        found = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        assert found == expected["predictions"], name
        with start(tmp_path / name, python=python, env={"PYTHONPATH": str(ROOT / "src")}) as server:
            assert server.predict(expected["rows"]) == expected["predictions"]
            assert server.get("/metadata").json["format"] == "onnx"
