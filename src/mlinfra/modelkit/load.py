"""From a model package to predictions: digests first, then the sealed form, else the model's own library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.errors import IntegrityError, InvocationFailed
from mlinfra.modelkit.formats import load_estimator
from mlinfra.modelkit.inputs import builder
from mlinfra.modelkit.manifest import Manifest
from mlinfra.modelkit.sealed import open_sealed

if TYPE_CHECKING:
    import os


def load_predictor(folder: str | os.PathLike[str], *, digest: str | None = None) -> Predictor:
    """Load a model package for predicting.

    Every file is compared with its digest before anything is unpickled or executed; `digest`, where given,
    must be the package's own. Raises IntegrityError for a package that is not what was saved or registered,
    NotFound where there is no manifest, CapabilityError naming a library that is not installed here.
    """
    root = Path(folder)
    manifest = Manifest.read(root)
    if digest is not None and digest != manifest.digest:
        raise IntegrityError("this is another model than the one asked for", given=manifest.digest, allowed=digest)
    manifest.verify(root)
    sealed, reason = open_sealed(root, manifest.sealed)
    return Predictor(root, manifest, sealed, reason)


_SHAREABLE = ("sklearn", "skops", "onnx", "xgboost", "lightgbm")  # their predict leaves the model as it is


class Predictor:
    """A loaded model.

    `way` is `sealed` or `estimator`; `reason` says why it is not sealed, and is empty where it is. Several
    threads may ask it at once where it is `shareable`.
    """

    def __init__(self, folder: Path, manifest: Manifest, sealed: Any, reason: str) -> None:
        self.manifest = manifest
        self.way = "estimator" if sealed is None else "sealed"
        self.reason = reason
        self.shareable = sealed is not None or manifest.format in _SHAREABLE
        if sealed is None:
            self._build = builder(manifest.input, manifest.schema)
            self._compute = load_estimator(folder, manifest)
        else:
            self._build = _numbers if sealed.form == "numbers" else _cells
            self._compute = sealed.predict

    def predict(self, rows: Any) -> list[Any]:
        """Predictions in row order, as plain values.

        `rows` are lists in schema order with None for a missing cell, as `Schema.check` returns them, or,
        where the model takes a matrix, a 2-D float array. Whatever the model's library raises comes through;
        InvocationFailed where it does not answer once per row.
        """
        if not len(rows):
            return []
        predictions = self._compute(self._build(rows))
        if type(predictions) is not list or self.way != "sealed":
            predictions = plain(predictions)
        if len(predictions) != len(rows):
            what = "the model did not answer once per row"
            raise InvocationFailed(what, given=f"{len(predictions)} predictions", allowed=f"{len(rows)}", status=500)
        return predictions


def _numbers(rows: Any) -> Any:
    """A sealed form of numbers takes lists and matrices as they are."""
    return rows


def _cells(rows: Any) -> Any:
    """A sealed form with categories takes lists of cells."""
    return rows.tolist() if hasattr(rows, "tolist") else rows


def plain(predictions: Any) -> list[Any]:
    """Predictions of any library as a list of Python values; several outputs make a list per row."""
    if hasattr(predictions, "to_numpy"):
        predictions = predictions.to_numpy()
    if hasattr(predictions, "tolist"):
        listed = predictions.tolist()
        return listed if isinstance(listed, list) else [listed]
    if not isinstance(predictions, Sequence) or isinstance(predictions, str):
        what = "the model answered something that is no list of predictions"
        raise InvocationFailed(what, given=type(predictions).__name__, allowed="an array or a list", status=500)
    return [item.tolist() if hasattr(item, "tolist") else item for item in predictions]
