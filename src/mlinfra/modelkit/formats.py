"""Loading a model with its own library: from a verified package to a function that predicts.

Every loader is called after the package's digests were compared with its manifest; some of them run code from it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlinfra.errors import CapabilityError, IntegrityError, SpecError
from mlinfra.modelkit.mlmodel import read_mlmodel

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.modelkit.manifest import Manifest

Predict = Callable[[Any], Any]


def load_estimator(folder: Path, manifest: Manifest) -> Predict:
    """The model's own predict function. Raises CapabilityError naming the package that is not installed."""
    if manifest.entry not in manifest.files:
        raise IntegrityError("the manifest holds no digest of the model file", given=manifest.entry)
    return _LOADERS[manifest.format](folder, manifest)


def needed(module: str, distribution: str = "") -> Any:
    """Import a model's library. 'Not installed' and 'installed but broken' are different errors."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        root = module.partition(".")[0]
        if exc.name != root:
            raise
        package = distribution or root
        what = f"this model needs the package {package}, which is not installed here"
        raise CapabilityError(what, todo=f"install {package} beside mlinfra-kit") from exc


def _pickled(path: Path) -> Any:
    """Unpickle a verified file; a library that it needs and does not find is named."""
    joblib = needed("joblib")
    try:
        return joblib.load(path)
    except (ModuleNotFoundError, AttributeError) as exc:
        what = "the model refers to code that is not installed here"
        todo = "install the packages of the manifest's requirements"
        raise CapabilityError(what, given=str(exc), todo=todo) from exc


def _method(model: Any, manifest: Manifest) -> Predict:
    method: Predict | None = getattr(model, manifest.method, None)
    if method is None:
        raise SpecError(f"the model has no {manifest.method}", given=type(model).__name__)
    return method


def _sklearn(folder: Path, manifest: Manifest) -> Predict:
    return _method(_pickled(folder / manifest.entry), manifest)


def _skops(folder: Path, manifest: Manifest) -> Predict:
    skops = needed("skops.io", "skops")
    path = folder / manifest.entry
    strangers = skops.get_untrusted_types(file=path)
    if strangers:
        what = "the skops file holds types that skops does not know as safe"
        raise CapabilityError(what, given=", ".join(strangers), todo="save the model with mlinfra.save_model")
    return _method(skops.load(path, trusted=[]), manifest)


def _xgboost(folder: Path, manifest: Manifest) -> Predict:
    xgboost = needed("xgboost")
    booster = xgboost.Booster(model_file=str(folder / manifest.entry))
    predict: Predict = booster.inplace_predict
    return predict


def _lightgbm(folder: Path, manifest: Manifest) -> Predict:
    lightgbm = needed("lightgbm")
    booster = lightgbm.Booster(model_file=str(folder / manifest.entry))
    predict: Predict = booster.predict
    return predict


def _onnx(folder: Path, manifest: Manifest) -> Predict:
    session = needed("onnxruntime").InferenceSession(str(folder / manifest.entry), providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    wanted = outputs[-1] if manifest.method == "predict_proba" else outputs[0]

    def predict(rows: Any) -> Any:
        (answer,) = session.run([wanted], _feed(inputs, rows))
        if isinstance(answer, list):  # a map from class to probability for each row
            return [list(row.values()) for row in answer]
        return answer.reshape(-1) if answer.ndim > 1 and answer.shape[1] == 1 else answer

    return predict


_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


def _feed(inputs: Any, rows: Any) -> dict[str, Any]:
    """One tensor that takes all columns, or one of a single column for each."""
    if len(inputs) == 1:
        return {inputs[0].name: rows.astype(_ONNX_TYPES.get(inputs[0].type, "float32"))}
    return {
        item.name: rows[:, index : index + 1].astype(_ONNX_TYPES.get(item.type, "float32"))
        for index, item in enumerate(inputs)
    }


def _mlflow(folder: Path, manifest: Manifest) -> Predict:
    """A scikit-learn flavour needs no MLflow; every other one does."""
    flavors = read_mlmodel(folder / manifest.entry).get("flavors", {})
    pickled = flavors.get("sklearn", {}).get("pickled_model", "")
    if pickled in manifest.files and not pickled.endswith(".skops"):
        return _method(_pickled(folder / pickled), manifest)
    predict: Predict = needed("mlflow.pyfunc", "mlflow").load_model(str(folder)).predict
    return predict


def _python(folder: Path, manifest: Manifest) -> Predict:
    """A module of the user's with `predict(rows)`; modules beside it can be imported from it."""
    path = folder / manifest.entry
    name = f"mlinfra_model_{manifest.digest[-12:]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError("not a Python module", given=manifest.entry)
    module = importlib.util.module_from_spec(spec)
    with _importing_from(str(path.parent)):
        spec.loader.exec_module(module)
    return _method(module, manifest)


@contextmanager
def _importing_from(folder: str) -> Iterator[None]:
    """Modules of a verified folder can be imported; nothing is written into it, for then it would not verify again."""
    writes_bytecode = sys.dont_write_bytecode
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    try:
        yield
    except ModuleNotFoundError as exc:
        todo = "install the packages of the manifest's requirements, or save the folder that holds the module"
        raise CapabilityError("the model imports a module that is not here", given=str(exc), todo=todo) from exc
    finally:
        sys.dont_write_bytecode = writes_bytecode
        sys.path.remove(folder)


_LOADERS: dict[str, Callable[[Path, Manifest], Predict]] = {
    "sklearn": _sklearn,
    "skops": _skops,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
    "mlflow": _mlflow,
    "python": _python,
}
