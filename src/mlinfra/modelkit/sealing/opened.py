"""A sealed model at work: rows in, predictions out, without scikit-learn and without unpickling anything."""

from __future__ import annotations

import hashlib
import mmap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mlinfra.errors import CapabilityError, InputRejected, IntegrityError
from mlinfra.modelkit.sealing import layout
from mlinfra.modelkit.sealing.kernel import Kernel, open_kernel
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.program import Program, from_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Floats
else:
    np = Lazy("numpy")

_SMALL = 1 << 20  # bytes; a mapped file keeps a descriptor open, and a server may hold thousands of small models


class Sealed:
    """A sealed model. Nothing in it changes, so any number of threads may share it.

    Attributes:
        kind: the family of the estimator that it stands for.
        method: "predict" or "predict_proba".
        form: "numbers" takes a C-contiguous 2-D buffer of float64, or lists of numbers; "cells" takes lists of cells.
        columns: cells in a row.
        names: of the columns, in order; empty where the estimator was fitted without.
        joinable: whether rows of several requests may be joined without changing a bit of an answer.
    """

    def __init__(self, program: Program, kernel: Kernel) -> None:
        self.kind = program.kind
        self.method = program.method
        self.form = program.form
        self.columns = program.columns
        self.names = program.names
        self.joinable = not program.needs_numpy
        self._kernel = kernel
        self._run = _runner(program, kernel)

    def predict(self, rows: Any) -> list[Any]:
        """One prediction a row: a number, a label, or a list of probabilities. Missing cells are None or NaN.

        Raises InputRejected, naming cells, for rows that the estimator itself would refuse, and for what are no rows.
        """
        try:
            predictions = self._run(rows)
        except (ValueError, TypeError, BufferError) as exc:
            raise self._rejection(rows, exc) from exc
        if not predictions:
            raise InputRejected("there are no rows")
        return predictions

    def refuses(self, rows: Any) -> list[dict[str, Any]]:
        """Every cell that the estimator would refuse, as {row, column, value, allowed}; [] where it would answer.

        Raises InputRejected for what are no rows at all.
        """
        try:
            found = self._kernel.refusals(rows)
        except (ValueError, TypeError, BufferError) as exc:
            raise InputRejected(f"these are no rows that the model takes: {exc}") from exc
        return [self._cell(rows, row, column, code) for row, column, code in found]

    def _rejection(self, rows: Any, cause: Exception) -> InputRejected:
        cells = self.refuses(rows)
        what = "the model does not take these rows"
        return InputRejected(what if cells else f"{what}: {cause}", rows=cells)

    def _cell(self, rows: Any, row: int, column: int, code: int) -> dict[str, Any]:
        if column >= self.columns:
            return {"row": row, "column": None, "value": rows[row], "allowed": layout.REFUSALS[code]}
        value = rows[row][column] if isinstance(rows, (list, tuple)) else memoryview(rows)[row, column]
        name = self.names[column] if self.names else column
        return {"row": row, "column": name, "value": value, "allowed": layout.REFUSALS[code]}


def open_sealed(folder: str | Path, document: Mapping[str, Any]) -> Sealed:
    """The sealed model that a manifest's `sealed` names, its digest and its arrays checked.

    Raises IntegrityError for a file that is not the one that was saved, CapabilityError where the compiled walk is
    missing: the estimator then serves. A file above 1 MiB stays mapped, so that processes share its memory. Imports
    nothing but the standard library, and numpy where the model needs it.
    """
    path = Path(folder) / str(document.get("file"))
    if path.name != document.get("file"):
        raise IntegrityError("a sealed model lies beside its manifest", given=path.name, allowed="a file name")
    with path.open("rb") as file:
        data = _checked(file, path.name, str(document.get("sha256")))
    return open_program(from_buffer(data))


def open_program(program: Program, kernel: Callable[[Program], Kernel] = open_kernel) -> Sealed:
    """A program at work; raises IntegrityError for arrays that cannot be, CapabilityError for what is missing here."""
    if program.needs_numpy:
        _import_numpy()
    return Sealed(program, kernel(program))


def _import_numpy() -> None:
    """Now rather than under the first request."""
    try:
        _ = np.float64
    except ImportError as exc:
        raise CapabilityError(
            "this sealed model multiplies or exponentiates with numpy, which is not installed here",
            todo="install numpy",
        ) from exc


def _checked(file: BinaryIO, name: str, expected: str) -> bytes | mmap.mmap:
    """The file's content, if its digest is the one expected: a small one read, a large one mapped."""
    digest = hashlib.sha256()
    content = b""
    for chunk in iter(lambda: file.read(_SMALL), b""):
        digest.update(chunk)
        content = chunk
    if digest.hexdigest() != expected:
        raise IntegrityError(
            f"{name} is not the file that was saved",
            given=digest.hexdigest(),
            allowed=expected,
            todo="fetch the model again",
        )
    if file.tell() == len(content):
        return content
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _runner(program: Program, kernel: Kernel) -> Callable[[Any], list[Any]]:
    """What answers for this program; decided once."""
    if program.finish not in layout.FINISHES:
        end = _exp if program.finish == "numpy_exp" else partial(_softmax, order=program.order)
        scores = _sums(program, kernel) if program.matrix else _scores(program, kernel)
        return lambda rows: end(scores(rows))
    finish = layout.FINISHES.index(program.finish)
    if program.matrix:
        product, bias = _product(program, kernel), np.frombuffer(program.array("bias"))
        return lambda rows: kernel.finish(product(rows), finish, bias)
    return lambda rows: kernel.predict(rows, finish)


def _scores(program: Program, kernel: Kernel) -> Callable[[Any], Floats]:
    def run(rows: Any) -> Floats:
        return np.frombuffer(kernel.scores(rows)).reshape(-1, program.outputs)

    return run


def _sums(program: Program, kernel: Kernel) -> Callable[[Any], Floats]:
    product, bias = _product(program, kernel), np.frombuffer(program.array("bias"))

    def run(rows: Any) -> Floats:
        sums: Floats = product(rows) + bias
        return sums

    return run


def _product(program: Program, kernel: Kernel) -> Callable[[Any], Floats]:
    """The features times the weights: the estimator's own product, on arrays that lie as its own."""
    if program.matrix is None:
        raise IntegrityError("this is not a sealed model: it has no matrix")
    order, shape = program.matrix.order, program.matrix.shape
    weights = np.frombuffer(program.array("weights")).reshape(shape, order="F" if order == "F" else "C")
    by_column = program.matrix.layout == "F"
    array, float64, scores = np.ndarray, np.float64, kernel.scores
    width = shape[0]

    def run(rows: Any) -> Floats:
        features = array((len(rows), width), float64, scores(rows))
        result: Floats = (np.asfortranarray(features) if by_column else features) @ weights
        return result

    return run


def _exp(scores: Floats) -> list[Any]:
    return list(np.exp(scores.ravel()).tolist())


def _softmax(scores: Floats, order: str) -> list[Any]:
    """scikit-learn's softmax: numpy's exp, and its sum, whose order depends on how the matrix lies in memory."""
    x = np.array(scores, order="F" if order == "F" else "C")
    x -= np.maximum.reduce(x, axis=1, keepdims=True)
    np.exp(x, out=x)
    x /= np.add.reduce(x, axis=1, keepdims=True)
    return list(x.tolist())
