"""What a model file or folder is, told from names and first bytes. Nothing is unpickled, nothing is executed."""

from __future__ import annotations

import dataclasses
import mmap
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import NotFound, SpecError
from mlinfra.modelkit.manifest import MANIFEST_NAME, Manifest, digest_file, package_files
from mlinfra.modelkit.mlmodel import read_mlmodel, signature_schema

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

_HEAD = 4096
_CODE = "predict.py"  # the entry of a folder of Python files; beside a model file, code does not count
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_COMPRESSED = (b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x5d\x00\x00", b"\x04\x22\x4d\x18")  # as joblib does
_TRAINED_WITH = re.compile(rb"_sklearn_version.{0,6}?\x8c.(\d+\.\d+\.\d+[a-z0-9.]*)", re.DOTALL)
_REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "sklearn": ("joblib", "numpy", "scikit-learn"),
    "skops": ("numpy", "scikit-learn", "skops"),
    "onnx": ("numpy", "onnxruntime"),
    "xgboost": ("numpy", "xgboost"),
    "lightgbm": ("lightgbm", "numpy"),
}
_KNOWN = "a model package, an MLflow model, or one joblib, pickle, skops, ONNX, XGBoost, LightGBM or Python file"


def describe(path: str | os.PathLike[str]) -> Manifest:
    """The manifest of a package, or the one that a model saved by another tool would have.

    The same bytes give the same manifest on every machine. Raises NotFound, and SpecError for what is no model.
    """
    given = Path(path)
    if not given.exists():
        raise NotFound("no such model", given=str(given), allowed=_KNOWN)
    if given.is_file():
        return _describe_file(given)
    if (given / MANIFEST_NAME).is_file():
        return Manifest.read(given)
    if (given / "MLmodel").is_file():
        return _describe_mlflow(given)
    return _describe_folder(given)


def model_format(path: Path) -> str | None:
    """The format of one file, None where it is no model that the kit knows."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    return next((name for name, fits in _FORMATS.items() if fits(path, head)), None)


def _describe_file(path: Path) -> Manifest:
    found = model_format(path)
    if found is None:
        raise SpecError("this file is no model that the kit knows", given=str(path), allowed=_KNOWN)
    return Manifest(
        format=found,
        entry=path.name,
        input={"form": "records"} if found == "python" else {},
        requirements=_requirements(path, found),
        files={path.name: digest_file(path)},
    )


def _describe_folder(folder: Path) -> Manifest:
    formats = {name: model_format(path) for name, path in package_files(folder).items()}
    models = [name for name, found in formats.items() if found and found != "python"]
    models = models or [name for name in formats if name == _CODE] or [name for name, found in formats.items() if found]
    if len(models) != 1:
        given = ", ".join(models) or "no model file"
        todo = "save it with mlinfra.save_model, or name the file"
        raise SpecError("which file of the folder is the model?", given=given, allowed=_KNOWN, todo=todo)
    manifest = _describe_file(folder / models[0])
    files = {name: digest_file(path) for name, path in package_files(folder).items()}
    return dataclasses.replace(manifest, entry=models[0], files=files)


def _describe_mlflow(folder: Path) -> Manifest:
    mlmodel = read_mlmodel(folder / "MLmodel")
    flavors = mlmodel.get("flavors")
    pyfunc = flavors.get("python_function", {}) if isinstance(flavors, dict) else {}
    python = pyfunc.get("python_version") if isinstance(pyfunc, dict) else None
    schema = signature_schema(mlmodel)
    return Manifest(
        format="mlflow",
        entry="MLmodel",
        schema=schema,
        input={"form": "frame"} if schema else {},
        requirements=_listed(folder / "requirements.txt"),
        python=".".join(python.split(".")[:2]) if isinstance(python, str) else None,
        files={name: digest_file(path) for name, path in package_files(folder).items()},
    )


def _listed(requirements: Path) -> tuple[str, ...]:
    if not requirements.is_file():
        return ()
    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("-"))


def _requirements(path: Path, found: str) -> tuple[str, ...]:
    """The packages that a format needs; scikit-learn's version stands inside an uncompressed pickle."""
    version = _trained_with(path) if found == "sklearn" else None
    pinned = {"scikit-learn": f"scikit-learn=={version}"} if version else {}
    return tuple(pinned.get(name, name) for name in _REQUIREMENTS.get(found, ()))


def _trained_with(path: Path) -> str | None:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        match = _TRAINED_WITH.search(content)
        return match[1].decode() if match else None


def _is_skops(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "schema.json" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _is_pickle(path: Path, head: bytes) -> bool:
    return head.startswith(_PICKLES) or (path.suffix in (".joblib", ".pkl", ".pickle") and head.startswith(_COMPRESSED))


def _is_xgboost(path: Path, head: bytes) -> bool:
    start = head.lstrip()[:64]
    return path.suffix in (".json", ".ubj", ".xgb") and start.startswith(b"{") and b"learner" in start


_FORMATS: dict[str, Callable[[Path, bytes], bool]] = {
    "skops": _is_skops,
    "sklearn": _is_pickle,
    "onnx": lambda path, head: path.suffix == ".onnx" and head.startswith(b"\x08"),
    "xgboost": _is_xgboost,
    "lightgbm": lambda _path, head: head.startswith(b"tree\n"),
    "python": lambda path, head: path.suffix == ".py" and b"\0" not in head,
}
