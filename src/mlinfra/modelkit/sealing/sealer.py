"""Seals an estimator: take it apart, write it down, prove what was written, and only then keep it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.errors import CapabilityError
from mlinfra.modelkit.sealing import layout
from mlinfra.modelkit.sealing.extract import extract, split
from mlinfra.modelkit.sealing.frames import estimator_input, example_rows
from mlinfra.modelkit.sealing.kernel import open_kernel, open_numpy_kernel, walk_module
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.opened import open_program
from mlinfra.modelkit.sealing.pack import pack
from mlinfra.modelkit.sealing.probes import probe
from mlinfra.modelkit.sealing.program import Program, from_buffer, to_bytes
from mlinfra.modelkit.sealing.prove import Original, kernel_input, prove
from mlinfra.modelkit.sealing.readback import check_nodes
from mlinfra.modelkit.sealing.recipe import LinearModel, NotSealed, Recipe, TreeModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    Build = Callable[[Any], Any]
else:
    np = Lazy("numpy")

FILE = "sealed.bin"
_UNEXPECTED = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)  # of an estimator not understood


def seal(estimator: Any, method: str, example: Any, folder: str | Path, build: Build | None = None) -> dict[str, Any]:
    """Writes `sealed.bin` into the folder and returns what the manifest says of it, or {"reason"} and writes nothing.

    `example` is a few rows as the estimator was trained on, or None. `build` turns rows (a 2-D float64 array, or lists
    of cells with None for missing ones) into what the estimator is called with where it serves itself; without it,
    float64, objects or a data frame with NaN for missing cells. The file appears whole or not at all; sealing the same
    estimator again gives the same bytes. Takes about a second. Raises OSError where the folder cannot be written.
    """
    try:
        recipe = extract(estimator, method)
        _check_precision(example)
        _check_order(recipe, example)
        examples = example_rows(recipe, example)
        original = Original(estimator, method, build or partial(estimator_input, recipe))
        recipe = _with_layout(original, recipe, examples)
        data = to_bytes(pack(recipe))
        document = _prove(original, recipe, data, examples)
    except NotSealed as refusal:
        return {"reason": str(refusal)}
    except _UNEXPECTED as exc:
        return {"reason": f"the estimator could not be taken apart: {type(exc).__name__}: {exc}"}
    _write(Path(folder) / FILE, data)
    return document


def _check_precision(example: Any) -> None:
    if str(getattr(example, "dtype", "")) in ("float16", "float32"):
        raise NotSealed(f"the example is of {example.dtype}, in which rows are rounded first; give it as float64")


def _check_order(recipe: Recipe, example: Any) -> None:
    """Rows come in the example's order, and a sealed form knows columns by their position."""
    given = tuple(map(str, getattr(example, "columns", ())))
    if recipe.names and given and given != recipe.names:
        raise NotSealed("the example lists its columns in another order than the estimator was fitted with")


def _prove(original: Original, recipe: Recipe, data: bytes, examples: Sequence[list[Any]]) -> dict[str, Any]:
    program = from_buffer(data)
    if isinstance(recipe.model, TreeModel):
        check_nodes(recipe.model, program)
    walk = _walk_at_hand()
    sealed = open_program(program, open_kernel if walk == "compiled" else open_numpy_kernel)
    proof = prove(original, recipe, sealed, examples)
    return {
        "file": FILE,
        "kind": recipe.kind,
        "method": recipe.method,
        "rows": recipe.form,
        "needs": ["numpy"] if program.needs_numpy else [],
        "arithmetic": _arithmetic(program),
        "joinable": sealed.joinable,
        "libraries": dict(recipe.libraries),
        "proof": {**proof.as_document(), "walk": walk},
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }


def _walk_at_hand() -> str:
    try:
        walk_module()
    except CapabilityError:
        return "numpy"
    return "compiled"


def _arithmetic(program: Program) -> str:
    """What the last bits depend on besides the file: "exact" (nothing), "libm", "simd" (numpy's exp) or "blas"."""
    if program.matrix is not None:
        return "blas"
    if program.needs_numpy:
        return "simd"
    return "exact" if program.finish in layout.EXACT else "libm"


def _with_layout(original: Original, recipe: Recipe, examples: Sequence[list[Any]]) -> Recipe:
    """Notes how the last matrix lies in memory: BLAS adds in another order when it lies by column."""
    if not isinstance(recipe.model, LinearModel) or recipe.model.sparse:
        return recipe
    matrix = original.build(kernel_input(recipe, _answerable(recipe, examples)))
    for step in split(original.estimator)[0]:
        matrix = matrix if step is None or isinstance(step, str) else step.transform(matrix)
    flags = np.asarray(matrix).flags
    if not (flags.c_contiguous or flags.f_contiguous):
        raise NotSealed("the estimator's last matrix is scattered in memory")
    return replace(recipe, model=replace(recipe.model, layout="C" if flags.c_contiguous else "F"))


def _answerable(recipe: Recipe, examples: Sequence[list[Any]]) -> list[list[Any]]:
    """A few rows that no transformer refuses."""
    if len(examples) > 2:  # noqa: PLR2004  a single row lies both ways
        return list(examples[:7])
    return [row for row in probe(recipe, examples).rows if None not in row][:7]


def _write(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
