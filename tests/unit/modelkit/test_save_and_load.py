"""A saved model answers as the trained one did, appears whole or not at all, and is never unpickled unverified."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlinfra.errors import CapabilityError, Conflict, InputRejected, IntegrityError, InvocationFailed, SpecError
from mlinfra.modelkit import MANIFEST_NAME, Manifest, describe, load_predictor, save_model
from mlinfra.modelkit.check import is_missing

Save = Callable[..., tuple[Path, Manifest]]


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def bits(values: Any) -> str:
    return repr(np.asarray(values).tolist())


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_numbers_are_answered_bit_for_bit(save: Save, linear: Any, numbers: np.ndarray, method: str) -> None:
    folder, manifest = save(method=method)
    predictor = load_predictor(folder)

    assert manifest.input == {"form": "matrix", "dtype": "float64"}
    expected = getattr(linear, method)(numbers)
    assert bits(predictor.predict(numbers)) == bits(expected)
    assert bits(predictor.predict(numbers.tolist())) == bits(expected)


def test_mixed_columns_with_missing_cells_are_answered_bit_for_bit(
    save: Save, scorer: Any, applicants: np.ndarray, applicants_schema: dict[str, Any]
) -> None:
    named = {"inputs": dict(zip(["x0", "x1", "x2"], applicants_schema["inputs"].values(), strict=True))}
    folder, manifest = save(scorer, applicants, schema=named, method="predict_proba")
    rows = [[None if is_missing(cell) else cell for cell in row] for row in applicants.tolist()]
    checked = manifest.schema.check(rows)

    assert not checked.problems
    assert manifest.input["form"] == "objects"
    assert bits(load_predictor(folder).predict(checked.rows)) == bits(scorer.predict_proba(applicants))


def test_labels_come_back_as_plain_values(save: Save, scorer: Any, applicants: np.ndarray) -> None:
    folder, _ = save(scorer, applicants)
    answers = load_predictor(folder).predict(applicants[:3].tolist())

    assert answers == scorer.predict(applicants[:3]).tolist()
    assert {type(answer) for answer in answers} == {str}


def test_the_estimator_serves_as_the_sealed_form_does(save: Save, numbers: np.ndarray, monkeypatch: Any) -> None:
    folder, _ = save(method="predict_proba")
    first = load_predictor(folder).predict(numbers)
    monkeypatch.setattr("mlinfra.modelkit.sealed._ROOM", "mlinfra.modelkit.no_such_room")
    second = load_predictor(folder)

    assert (second.way, bool(second.reason)) == ("estimator", True)
    assert bits(second.predict(numbers)) == bits(first)


@pytest.mark.parametrize("failure", [ImportError("no room"), RuntimeError("a fault")])
def test_a_model_is_saved_whatever_sealing_does(
    save: Save, numbers: np.ndarray, monkeypatch: Any, failure: Exception
) -> None:
    def fail(_name: str) -> None:
        raise failure

    monkeypatch.setattr("mlinfra.modelkit.sealed.importlib.import_module", fail)
    folder, manifest = save()
    monkeypatch.undo()

    assert str(failure) in manifest.sealed["reason"]
    assert set(manifest.files) == {"model.joblib"}
    assert load_predictor(folder).way == "estimator"


def test_the_example_travels_with_its_answers(save: Save, linear: Any, numbers: np.ndarray) -> None:
    manifest = save()[1]

    assert manifest.example["rows"] == numbers[:5].tolist()
    assert manifest.example["predictions"] == linear.predict(numbers[:5]).tolist()


def test_requirements_are_pinned_to_what_is_installed(save: Save) -> None:
    manifest = save()[1]
    names = {line.partition("==")[0] for line in manifest.requirements}

    assert {"scikit-learn", "numpy", "joblib"} <= names
    assert all("==" in line for line in manifest.requirements)
    assert manifest.python == f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_given_requirements_replace_what_was_found(save: Save) -> None:
    assert save(requirements=["scikit-learn==1.0"])[1].requirements == ("scikit-learn==1.0",)


def test_the_training_run_is_recorded(save: Save, monkeypatch: Any) -> None:
    monkeypatch.setenv("MLINFRA_RUN_ID", "credit-train-1")

    assert save()[1].run == {"id": "credit-train-1"}


def test_saving_the_same_model_again_changes_nothing(save: Save) -> None:
    folder, first = save()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _, second = save()

    assert second.digest == first.digest
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_model_never_takes_the_place_of_the_first(save: Save, numbers: np.ndarray) -> None:
    folder, first = save()
    other = LogisticRegression(C=0.01).fit(numbers, numbers[:, 1] > 0)

    with pytest.raises(Conflict, match="another model"):
        save_model(other, folder, example=numbers)
    assert Manifest.read(folder) == first
    first.verify(folder)
    assert not list(folder.parent.glob(".mlinfra-*"))


def test_an_existing_folder_keeps_its_other_files(tmp_path: Path, linear: Any, numbers: np.ndarray) -> None:
    (tmp_path / "report.txt").write_text("mine")
    manifest = save_model(linear, tmp_path, example=numbers)

    manifest.verify(tmp_path)
    assert (tmp_path / "report.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".mlinfra-*"))


def test_a_file_at_the_models_path_is_a_conflict(tmp_path: Path, linear: Any, numbers: np.ndarray) -> None:
    (tmp_path / "m").write_text("mine")

    with pytest.raises(Conflict):
        save_model(linear, tmp_path / "m", example=numbers)


@pytest.mark.parametrize("step", ["dump", "seal", "publish"])
def test_a_failed_save_leaves_nothing(
    tmp_path: Path, linear: Any, numbers: np.ndarray, monkeypatch: Any, step: str
) -> None:
    def fail(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"mlinfra.modelkit.save.{step}", fail)
    with pytest.raises(OSError, match="No space"):
        save_model(linear, tmp_path / "m", example=numbers)
    assert not list(tmp_path.iterdir())


def test_a_process_killed_while_saving_leaves_no_package(tmp_path: Path) -> None:
    code = """
import os, numpy as np, mlinfra.modelkit.staging as staging
from sklearn.linear_model import LinearRegression
from mlinfra.modelkit import save_model
staging._to_disk = lambda path: os._exit(9)
save_model(LinearRegression().fit(np.eye(3), [1, 2, 3]), "m", example=np.eye(3))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)

    assert done.returncode == 9
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schema": {"inputs": {"a": {"type": "number"}}}}, "breaks the schema"),
        ({"method": "transform"}, "unknown method"),
        ({"schema": {"inputs": {}}}, "schema names its columns"),
    ],
)
def test_options_that_do_not_fit_are_refused(save: Save, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises((SpecError, InputRejected), match=words):
        save(**options)
    assert not list(tmp_path.iterdir())


def test_an_example_outside_the_declared_range_is_named(save: Save, numbers: np.ndarray) -> None:
    columns = {f"x{index}": {"type": "number", "min": -10, "max": 10} for index in range(4)}
    columns["x2"]["max"] = 0

    with pytest.raises(InputRejected) as caught:
        save(schema={"inputs": columns})
    assert {cell["column"] for cell in caught.value.rows} == {"x2"}


def test_a_model_without_the_method_is_refused(tmp_path: Path, numbers: np.ndarray) -> None:
    model = LinearRegression().fit(numbers, numbers[:, 0])

    with pytest.raises(SpecError, match="no predict_proba"):
        save_model(model, tmp_path / "m", example=numbers, method="predict_proba")


def test_an_example_that_the_model_does_not_take_is_refused(tmp_path: Path, linear: Any) -> None:
    with pytest.raises(SpecError, match="does not answer"):
        save_model(linear, tmp_path / "m", example=[{"a": "text"}])


def test_a_class_of_the_script_itself_is_refused(tmp_path: Path) -> None:
    code = """
import numpy as np, sys
from sklearn.linear_model import LinearRegression
from mlinfra.errors import SpecError
from mlinfra.modelkit import save_model
class Mine(LinearRegression): pass
try: save_model(Mine().fit(np.eye(3), [1, 2, 3]), "m", example=np.eye(3))
except SpecError as error: sys.exit("defined in the training script" not in str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)

    assert done.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_changed_pickle_is_refused_before_a_byte_of_it_is_unpickled(save: Save, tmp_path: Path) -> None:
    folder, _ = save()
    trap = tmp_path / "trap"
    (folder / "model.joblib").write_bytes(pickle.dumps(Bomb(trap)))

    with pytest.raises(IntegrityError, match=r"model\.joblib"):
        load_predictor(folder)
    assert not trap.exists()


def test_a_pickle_without_a_digest_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.joblib").write_bytes(pickle.dumps(Bomb(trap)))
    Manifest(format="sklearn", entry="model.joblib").write(folder)

    with pytest.raises(IntegrityError, match="no digest"):
        load_predictor(folder)
    assert not trap.exists()


def test_a_whole_package_of_a_stranger_is_refused_where_the_digest_is_known(save: Save, tmp_path: Path) -> None:
    folder, manifest = save()
    trap, strange = tmp_path / "trap", tmp_path / "strange"
    strange.mkdir()
    (strange / "model.joblib").write_bytes(pickle.dumps(Bomb(trap)))
    describe(strange).write(strange)

    with pytest.raises(IntegrityError, match="another model"):
        load_predictor(strange, digest=manifest.digest)
    assert not trap.exists()
    load_predictor(folder, digest=manifest.digest)


def test_describing_never_unpickles(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Bomb(trap)))
    joblib.dump(Bomb(trap), tmp_path / "small.joblib", compress=3)

    assert describe(tmp_path / "model.pkl").format == "sklearn"
    assert describe(tmp_path / "small.joblib").format == "sklearn"
    save_model(tmp_path / "model.pkl", tmp_path / "m", example=[[1.0]])
    assert not trap.exists()


def test_a_ready_file_is_taken_as_it_is(tmp_path: Path, linear: Any, numbers: np.ndarray) -> None:
    joblib.dump(linear, tmp_path / "fitted.joblib")
    manifest = save_model(tmp_path / "fitted.joblib", tmp_path / "m", example=numbers)

    assert manifest.entry == "fitted.joblib"
    assert manifest.example == {"rows": numbers[:5].tolist(), "predictions": None}
    assert any(line.startswith("scikit-learn==") for line in manifest.requirements)
    assert bits(load_predictor(tmp_path / "m").predict(numbers)) == bits(linear.predict(numbers))


def test_a_module_of_the_users_own_is_served(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "factors_of_this_test.py").write_text("FACTOR = 3\n")
    source = "from factors_of_this_test import FACTOR\ndef predict(rows): return [row['a'] * FACTOR for row in rows]\n"
    (code / "predict.py").write_text(source)
    manifest = save_model(code, tmp_path / "m", example=[{"a": 1}])
    predictor = load_predictor(tmp_path / "m")

    assert (manifest.format, manifest.entry) == ("python", "predict.py")
    assert predictor.predict([[2], [5]]) == [6, 15]
    assert not predictor.shareable
    manifest.verify(tmp_path / "m")


def test_a_module_that_is_not_saved_with_the_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text("import no_such_module\n")
    save_model(tmp_path / "predict.py", tmp_path / "m", example=[{"a": 1}])

    with pytest.raises(CapabilityError, match="no_such_module"):
        load_predictor(tmp_path / "m")


def test_planted_bytecode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text("def predict(rows): return rows\n")
    save_model(tmp_path / "predict.py", tmp_path / "m", example=[{"a": 1}])
    (tmp_path / "m" / "__pycache__").mkdir()
    (tmp_path / "m" / "__pycache__" / "predict.cpython-311.pyc").write_bytes(b"anything")

    with pytest.raises(IntegrityError, match="its manifest lacks"):
        load_predictor(tmp_path / "m")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[1]", "once per row"),
        ("7", "no list"),
        ("'ab'", "no list"),
        ("None", "no list"),
        ("[1, 2, 3]", "once per row"),
    ],
)
def test_a_model_that_does_not_answer_once_per_row_is_at_fault(tmp_path: Path, body: str, words: str) -> None:
    (tmp_path / "predict.py").write_text(f"def predict(rows): return {body}\n")
    save_model(tmp_path / "predict.py", tmp_path / "m", example=[{"a": 1}])

    with pytest.raises(InvocationFailed, match=words):
        load_predictor(tmp_path / "m").predict([[1], [2]])


def test_no_rows_have_no_predictions(save: Save) -> None:
    assert load_predictor(save()[0]).predict([]) == []


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [
        ("m.onnx", b"\x08\x07\x12\x04skl2", "onnxruntime"),
        ("m.json", b'{"learner":{"attributes":{}}}', "xgboost"),
        ("m.ubj", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "xgboost"),
        ("m.txt", b"tree\nversion=v4\n", "lightgbm"),
    ],
)
def test_a_missing_library_is_named(tmp_path: Path, name: str, content: bytes, package: str) -> None:
    (tmp_path / name).write_bytes(content)
    save_model(tmp_path / name, tmp_path / "m", example=[[1.0]])

    with pytest.raises(CapabilityError, match=package):
        load_predictor(tmp_path / "m")


def test_a_library_that_a_pickle_needs_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04cno_such_library\nThing\n.")
    save_model(tmp_path / "m.pkl", tmp_path / "m", example=None)

    with pytest.raises(CapabilityError, match="not installed here") as caught:
        load_predictor(tmp_path / "m")
    assert "no_such_library" in str(caught.value)


def test_the_manifest_is_legible_json(save: Save) -> None:
    text = (save()[0] / MANIFEST_NAME).read_text()

    assert text.endswith("}\n")
    assert json.loads(text)["version"] == 1
