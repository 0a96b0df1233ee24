"""Models of other tools are told by names and first bytes."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from typing import TYPE_CHECKING

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from mlinfra.errors import NotFound, SpecError
from mlinfra.modelkit import describe
from mlinfra.modelkit.mlmodel import read_mlmodel

if TYPE_CHECKING:
    from pathlib import Path

MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.10.12
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
mlflow_version: 3.1.0
signature:
  inputs: '[{"type": "long", "name": "age", "required": true}, {"type": "double",
    "name": "it''s", "required": false}, {"type": "string", "name": "home: own", "required": true}]'
  outputs: '[{"type": "long"}]'
  params: null
"""


def skops() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("schema.json", "{}")
    return stream.getvalue()


FILES = {
    "model.joblib": (pickle.dumps([1], protocol=4), "sklearn"),
    "model": (pickle.dumps([1], protocol=2), "sklearn"),
    "model.pkl": (gzip.compress(pickle.dumps([1])), "sklearn"),
    "model.skops": (skops(), "skops"),
    "model.onnx": (b"\x08\x07\x12\x04skl2", "onnx"),
    "model.json": (b'{"learner":{"attributes":{}},"version":[3,0,0]}', "xgboost"),
    "model.ubj": (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "xgboost"),
    "model.txt": (b"tree\nversion=v4\nnum_class=1\n", "lightgbm"),
    "predict.py": (b"def predict(rows): return rows\n", "python"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_told_as_it_is(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    (tmp_path / name).write_bytes(content)
    manifest = describe(tmp_path / name)

    assert (manifest.format, manifest.entry, set(manifest.files)) == (expected, name, {name})
    assert describe(tmp_path).format == expected
    assert manifest.digest == describe(tmp_path / name).digest


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.joblib", b"hello"),
        ("data.json", b'{"version": 1}'),
        ("archive.zip", b"PK\x03\x04broken"),
        ("notes.txt", b"forest\n"),
        ("empty.pkl", b""),
        ("model.onnx", b"<html>"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(SpecError):
        describe(tmp_path / name)
    with pytest.raises(SpecError):
        describe(tmp_path)


def test_the_version_that_trained_a_pickle_is_read_from_its_bytes(tmp_path: Path) -> None:
    joblib.dump(LinearRegression().fit([[1.0], [2.0]], [1, 2]), tmp_path / "m.joblib")
    (pinned,) = [line for line in describe(tmp_path / "m.joblib").requirements if line.startswith("scikit")]

    assert pinned.startswith("scikit-learn==1.")


def test_code_beside_a_model_file_does_not_make_it_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(pickle.dumps([1]))
    (tmp_path / "inference.py").write_text("x = 1\n")
    manifest = describe(tmp_path)

    assert (manifest.entry, set(manifest.files)) == ("model.joblib", {"model.joblib", "inference.py"})


def test_two_models_in_a_folder_are_ambiguous(tmp_path: Path) -> None:
    for name in ("a.pkl", "b.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps([1]))

    with pytest.raises(SpecError, match="which file"):
        describe(tmp_path)


def test_a_path_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        describe(tmp_path / "none")


def test_an_mlflow_model_is_read_without_a_yaml_library(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(MLMODEL)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "requirements.txt").write_text("mlflow==3.1.0\n# a remark\nscikit-learn==1.9.1  # pinned\n-r other\n")
    manifest = describe(tmp_path)

    assert (manifest.format, manifest.entry, manifest.python) == ("mlflow", "MLmodel", "3.10")
    assert manifest.requirements == ("mlflow==3.1.0", "scikit-learn==1.9.1")
    assert set(manifest.files) == {"MLmodel", "model.pkl", "requirements.txt"}
    assert manifest.schema.as_document() == {
        "inputs": {
            "age": {"type": "integer"},
            "it's": {"type": "number", "required": False},
            "home: own": {"type": "string"},
        }
    }


@pytest.mark.parametrize(
    "signature",
    ["", "signature: null\n", 'signature:\n  inputs: \'[{"type": "tensor"}]\'\n', "signature:\n  inputs: 'broken\n"],
)
def test_a_signature_that_we_cannot_express_gives_no_schema(tmp_path: Path, signature: str) -> None:
    (tmp_path / "MLmodel").write_text(f"flavors: {{}}\n{signature}")

    assert describe(tmp_path).schema is None


def test_mlmodel_reading_keeps_the_nesting(tmp_path: Path) -> None:
    path = tmp_path / "MLmodel"
    path.write_text(MLMODEL)
    document = read_mlmodel(path)

    assert document["flavors"]["python_function"]["env"] == {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    assert document["flavors"]["sklearn"]["pickled_model"] == "model.pkl"
    assert json.loads(document["signature"]["inputs"])[1]["name"] == "it's"
    assert document["mlflow_version"] == "3.1.0"
