"""Large bodies of plain numbers, read straight into a float matrix: no Python object per number.

Nothing is refused here. Whatever is not surely a clean matrix of the model's own width goes the exact way.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import simdjson

if TYPE_CHECKING:
    from mlinfra.serving.models import Model

WORTHWHILE = 4096  # bytes of body from which this is quicker than Python lists
_OPENING = ord("[")
_local = threading.local()  # a parser belongs to one thread


def read_matrix(body: bytes, model: Model) -> Any:
    """`{"instances": [[…], …]}` as a float64 matrix that passes the schema, else None."""
    check = model.matrix
    if check is None:
        return None
    try:
        matrix = _matrix(body, check.width)
    except (ValueError, TypeError, RuntimeError, KeyError):
        return None
    return matrix if matrix is not None and check.passes(matrix) else None


def _parser() -> simdjson.Parser:
    if not hasattr(_local, "parser"):
        _local.parser = simdjson.Parser()
    parser: simdjson.Parser = _local.parser
    return parser


def _matrix(body: bytes, width: int) -> Any:
    import numpy as np  # noqa: PLC0415  small requests are served without numpy where the model allows it

    document: Any = _parser().parse(body)
    if len(document) != 1:  # a key given twice counts twice here
        return None
    rows = document["instances"]
    if set(map(len, rows)) != {width}:
        return None
    # one bracket for the whole and one a row: then no row holds an array, and nothing is framed anew
    if np.count_nonzero(np.frombuffer(body, np.uint8) == _OPENING) != len(rows) + 1:
        return None
    return np.frombuffer(rows.as_buffer(of_type="d"), np.float64).reshape(-1, width)
