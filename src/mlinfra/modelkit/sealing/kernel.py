"""Finds what walks over a program: the compiled module, or numpy where a model is only proved."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Any, Protocol
from zipimport import zipimporter

from mlinfra.errors import CapabilityError, IntegrityError
from mlinfra.modelkit.sealing import layout

if TYPE_CHECKING:
    from types import ModuleType

    from mlinfra.modelkit.sealing.program import Program

_NAME = "mlinfra.modelkit.sealing._walk"
_ABI = 2  # the version of `walk.c` that these files speak to


class Kernel(Protocol):
    """What walks over one program. Raises ValueError with (row, column, code) where it refuses a row."""

    def predict(self, rows: Any, finish: int) -> list[Any]:
        """Predictions, finished as `layout.FINISHES[finish]`."""

    def scores(self, rows: Any) -> bytearray:
        """Float64 scores row by row; the features themselves where the model is a matrix."""

    def finish(self, scores: Any, finish: int, bias: Any = ...) -> list[Any]:
        """Predictions from scores; `bias`, where given, is added first: one float64, or one an output."""

    def refusals(self, rows: Any) -> list[tuple[int, int, int]]:
        """Every cell that the estimator would refuse: row, column (or the number of columns: the row), code."""


def walk_module() -> ModuleType:
    """The compiled module; raises CapabilityError where it is missing or of another version."""
    try:
        walk = _installed_elsewhere() or import_module(_NAME)
    except ImportError as exc:
        raise CapabilityError(
            "sealed models need the compiled walk, which is not installed here",
            given=str(exc),
            todo="run `python -m mlinfra.modelkit.sealing.build`, or serve the estimator itself",
        ) from exc
    if walk.ABI != _ABI:
        raise CapabilityError(
            "the compiled walk is of another version than the code around it",
            given=walk.ABI,
            allowed=str(_ABI),
            todo="run `python -m mlinfra.modelkit.sealing.build`",
        )
    return walk


def _installed_elsewhere() -> ModuleType | None:
    """The module of an installed kit, for a kit that runs from a bundle, which carries nothing compiled."""
    if not isinstance(globals().get("__loader__"), zipimporter):
        return None
    spec = PathFinder.find_spec(_NAME, [f"{place}/mlinfra/modelkit/sealing" for place in sys.path])
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_kernel(program: Program, *, scalar_only: bool = False) -> Kernel:
    """The compiled walk over a program, whose arrays are checked here; raises IntegrityError, CapabilityError."""
    module = walk_module()
    flags = program.flags & ~layout.FLAGS["scalar_only"] | (layout.FLAGS["scalar_only"] if scalar_only else 0)
    try:
        model: Kernel = module.Model(
            arrays=tuple(program.array(name) for name in layout.ARRAYS),
            tables=tuple({value: float(code) for code, value in enumerate(table)} for table in program.tables),
            labels=program.labels,
            columns=program.columns,
            outputs=program.outputs,
            width=program.width,
            form=layout.FORMS.index(program.form),
            flags=flags,
        )
    except (ValueError, OverflowError) as exc:
        raise IntegrityError(f"this is not a sealed model: {exc}", todo="fetch or save the model again") from exc
    return model


def open_numpy_kernel(program: Program) -> Kernel:
    """The walk in numpy, slower and by another hand; proves a model where there is no compiler."""
    from mlinfra.modelkit.sealing.reference import NumpyKernel  # noqa: PLC0415  its numpy is wanted here alone

    return NumpyKernel(program)
