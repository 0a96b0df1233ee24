"""The form in which a model takes its rows: a float matrix, an object array, a data frame, or rows as they are.

`save_model` finds the cheapest form in which the model answers the example as it answered the example itself;
the manifest keeps it under `input`, and whoever loads the model builds that form again.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.modelkit.infer import Table
    from mlinfra.modelkit.schema import Column, Schema

Rows = Any  # a list of rows in schema order with None for missing cells, or a 2-D float array
Builder = Callable[[Rows], Any]
_NUMERIC = ("integer", "number", "boolean")
_FLOATS = ("float32", "float64")


def candidates(table: Table, schema: Schema) -> list[dict[str, Any]]:
    """The forms to try, cheapest first."""
    numeric = all(column.type in _NUMERIC for column in schema.columns)
    dtype = table.dtypes.get("", "")
    matrix = {"form": "matrix", "dtype": dtype if dtype in _FLOATS else "float64"}
    missing = dict.fromkeys(nan_columns(table, schema), "nan")
    frame = {"form": "frame", "dtypes": table.dtypes, "missing": missing}
    objects = {"form": "objects", "missing": missing}
    by_source: dict[str, list[dict[str, Any]]] = {
        "frame": [frame],
        "array": [] if dtype in _FLOATS else [objects],
        "arrays": [objects, {"form": "rows"}],
        "objects": [objects, {"form": "frame", "dtypes": {}, "missing": {}}, {"form": "records"}],
    }
    return ([matrix] if numeric else []) + by_source[table.source]


def nan_columns(table: Table, schema: Schema) -> list[str]:
    """The schema's names of the columns in which a missing cell was NaN; an array's own columns have no names."""
    return [column.name for name, column in zip(table.names, schema.columns) if name in table.nan_columns]


def builder(form: Mapping[str, Any], schema: Schema | None) -> Builder:
    """A function from rows to what the model takes. Without a form: a float matrix."""
    return _BUILDERS[form.get("form", "matrix")](form, schema)


def libraries(form: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages that a form needs beside the model's own."""
    return {"matrix": ("numpy",), "objects": ("numpy",), "frame": ("numpy", "pandas")}.get(form.get("form", ""), ())


def _matrix(form: Mapping[str, Any], _schema: Schema | None) -> Builder:
    import numpy as np  # noqa: PLC0415  modelkit imports without numpy

    dtype = np.dtype(form.get("dtype", "float64"))
    return lambda rows: np.asarray(rows, dtype=dtype)  # None becomes NaN


def _objects(form: Mapping[str, Any], schema: Schema | None) -> Builder:
    import numpy as np  # noqa: PLC0415  modelkit imports without numpy

    def build(rows: Rows) -> Any:
        cells = _filled(_lists(rows), fillers)
        array = np.empty((len(cells), len(cells[0]) if cells else 0), dtype=object)
        for index, row in enumerate(cells):
            array[index] = row
        return array

    fillers = _fillers(form, schema)
    return build


def _frame(form: Mapping[str, Any], schema: Schema | None) -> Builder:
    pd = importlib.import_module("pandas")  # only a model trained on data frames needs it

    def build(rows: Rows) -> Any:
        cells = _filled(_lists(rows), fillers)
        columns = {name: [row[index] for row in cells] for index, name in enumerate(names)}
        return pd.DataFrame({name: _series(pd, values, dtype(name, values)) for name, values in columns.items()})

    def dtype(name: str, values: list[Any]) -> Any:
        """Categories of text stay text where a request has none; of nothing but NaN, pandas would make numbers."""
        if name in text and all(value != value or value is None for value in values):  # noqa: PLR0124  NaN
            return pd.CategoricalDtype(pd.Index([], dtype=object))
        return dtypes.get(name)

    fillers = _fillers(form, schema)
    names = schema.names if schema else ()
    dtypes = form.get("dtypes", {})
    columns_of_text = [column.name for column in (schema.columns if schema else ()) if column.type not in _NUMERIC]
    text = {name for name in columns_of_text if dtypes.get(name) == "category"}
    return build


def _records(_form: Mapping[str, Any], schema: Schema | None) -> Builder:
    if schema is None:
        return _lists
    names = schema.names
    return lambda rows: [{name: row[index] for index, name in enumerate(names)} for row in _lists(rows)]


def _rows(_form: Mapping[str, Any], _schema: Schema | None) -> Builder:
    return _lists


_BUILDERS: dict[str, Callable[[Mapping[str, Any], Schema | None], Builder]] = {
    "matrix": _matrix,
    "objects": _objects,
    "frame": _frame,
    "records": _records,
    "rows": _rows,
}


def _lists(rows: Rows) -> Sequence[Sequence[Any]]:
    listed: Sequence[Sequence[Any]] = rows.tolist() if hasattr(rows, "tolist") else rows
    return listed


def _fillers(form: Mapping[str, Any], schema: Schema | None) -> list[Any]:
    """What stands for a missing cell, per column: NaN in numbers and where the example had NaN, else None."""
    as_nan = form.get("missing", {})
    columns: tuple[Column, ...] = schema.columns if schema else ()
    return [math.nan if column.type in _NUMERIC or column.name in as_nan else None for column in columns]


def _filled(rows: Sequence[Sequence[Any]], fillers: list[Any]) -> list[list[Any]]:
    return [[fillers[index] if cell is None else cell for index, cell in enumerate(row)] for row in rows]


def _series(pd: Any, values: list[Any], dtype: Any) -> Any:
    """A column of the example's type; one that cannot hold missing cells widens, as when pandas reads a file."""
    if dtype is None:
        return pd.Series(values)
    try:
        return pd.Series(values, dtype=dtype)
    except (ValueError, TypeError):
        return pd.Series(values)
