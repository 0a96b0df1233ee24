"""The walk in numpy: the same meaning by another hand.

It proves a model where the compiled walk cannot be (a training image without a compiler), and in the tests it is what
the compiled walk is compared with. Too slow to serve.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing import layout
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.links import LINKS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mlinfra.modelkit.sealing.program import Program
    from mlinfra.modelkit.sealing.recipe import Array, Floats

    _Refused = list[tuple[int, npt.NDArray[np.bool_]]]  # codes, and the rows refused by each
else:
    np = Lazy("numpy")

_NOT_A_NUMBER, _MISSING, _INFINITE, _TOO_LARGE, _UNKNOWN, _WRONG_LENGTH = 1, 2, 3, 4, 5, 6


class NumpyKernel:
    """Walks over one program with numpy; the same methods as the compiled Model."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._slots = self._view("slots", layout.SLOT)
        self._ops = self._view("ops", layout.OP)
        self._features = self._view("features", layout.FEATURE)
        self._nodes = self._view("nodes", layout.NODE)
        self._known, self._cuts = self._view("known", "<f8"), self._view("cuts", "<f8")
        self._roots, self._bases = self._view("roots", "<u4"), self._view("bases", "<u4")
        self._leaves = self._view("leaves", "<f8").reshape(-1, max(1, program.width))
        self._sets = self._view("sets", "<u4").reshape(-1, layout.SET_WORDS)
        self._start = self._view("start", "<f8")
        self._coefficients, self._intercepts = self._view("coefficients", "<f8"), self._view("intercepts", "<f8")
        self._tables = [{value: code for code, value in enumerate(table)} for table in program.tables]

    def predict(self, rows: Any, finish: int) -> list[Any]:
        """Predictions, finished as `layout.FINISHES[finish]`."""
        return self.finish(self.scores(rows), finish)

    def scores(self, rows: Any) -> bytearray:
        """Float64 scores row by row; the features where the model has neither trees nor coefficients."""
        features, refusals = self._compute(rows)
        if refusals:
            raise ValueError(refusals[0])
        with np.errstate(all="ignore"):
            if len(self._roots):
                return bytearray(self._walk(features).tobytes())
            if len(self._coefficients):
                return bytearray(self._add_products(features).tobytes())
        return bytearray(features.tobytes())

    def finish(self, scores: Any, finish: int, bias: Any = None) -> list[Any]:
        """Predictions from scores and a bias."""
        sums = np.frombuffer(scores).reshape(-1, self._program.outputs)
        rows: list[list[float]] = (sums if bias is None else sums + bias).tolist()
        name = layout.FINISHES[finish]
        link = LINKS.get(name.replace("_labels", "s" if "pair" in name else ""), list)
        values = [link(row) for row in rows]
        if name == "values":
            return [row[0] for row in values]
        if "labels" not in name:
            return list(values)
        return [self._program.labels[_chosen(row, name)] for row in values]

    def refusals(self, rows: Any) -> list[tuple[int, int, int]]:
        """Every refused cell."""
        return self._compute(rows)[1]

    def _view(self, name: str, kind: Any) -> npt.NDArray[Any]:
        return np.frombuffer(self._program.array(name), dtype=kind)

    def _compute(self, rows: Any) -> tuple[Floats, list[tuple[int, int, int]]]:
        """The features of rows, and the cells refused on the way; the first reason for a cell counts."""
        slots, found = self._encode(rows)
        features = np.empty((len(slots), len(self._features)))
        with np.errstate(all="ignore"):
            for index, feature in enumerate(self._features):
                values = slots[:, feature["slot"]].copy()
                column = int(self._slots["column"][feature["slot"]])
                for op in self._ops[feature["op_first"] :][: feature["op_count"]]:
                    values, refused = self._apply(op, values)
                    _note(found, refused, column)
                features[:, index], refused = self._narrow(feature, values)
                _note(found, refused, column)
        return features, sorted((row, column, code) for (row, column), code in found.items())

    def _encode(self, rows: Any) -> tuple[Floats, dict[tuple[int, int], int]]:
        found: dict[tuple[int, int], int] = {}
        if not isinstance(rows, (list, tuple)):
            return np.asarray(rows, np.float64), found
        slots = np.zeros((len(rows), len(self._slots)))
        for r, row in enumerate(rows):
            if not isinstance(row, (list, tuple)) or len(row) != self._program.columns:
                found[r, self._program.columns] = _WRONG_LENGTH
                continue
            for s, slot in enumerate(self._slots):
                slots[r, s], code = self._cell(slot, row[int(slot["column"])])
                if code:
                    found.setdefault((r, int(slot["column"])), code)
        return slots, found

    def _cell(self, slot: Any, cell: Any) -> tuple[float, int]:
        if slot["table"] == layout.UNREAD:
            return 0.0, 0
        if slot["table"] == layout.NUMBER:
            return _number(cell)
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return float(slot["missing"]), _MISSING if slot["missing"] == layout.REFUSE else 0
        try:
            code = self._tables[slot["table"]].get(cell, int(slot["unknown"]))
        except TypeError:
            return 0.0, _NOT_A_NUMBER
        return float(code), _UNKNOWN if code == layout.REFUSE else 0

    def _apply(self, op: Any, values: Floats) -> tuple[Floats, _Refused]:
        """The values after one operation, and which of them it refuses."""
        name, a, b = layout.OPS[op["code"]], float(op["a"]), float(op["b"])
        if name == "not_infinite":
            return values, [(_INFINITE, np.isinf(values))]
        if name == "lookup":
            return self._look_up(op, values)
        return _computed(name, values, a, b), []

    def _look_up(self, op: Any, values: Floats) -> tuple[Floats, _Refused]:
        known = {float(value): float(code) for code, value in enumerate(self._known[op["first"] :][: op["count"]])}
        missing = np.isnan(values)
        codes = np.array([known.get(value, float(op["b"])) for value in values.tolist()])
        codes[missing] = op["a"]
        refused = codes == layout.REFUSE
        return codes, [(_MISSING, refused & missing), (_UNKNOWN, refused)]

    def _narrow(self, feature: Any, values: Floats) -> tuple[Floats, _Refused]:
        kind = layout.KINDS[feature["kind"]]
        narrow = values
        if kind == "float":
            narrow = values.astype(np.float32).astype(np.float64)
        elif kind == "rank":
            cuts = self._cuts[feature["cut_first"] :][: feature["cut_count"]]
            narrow = np.where(np.isnan(values), np.nan, np.searchsorted(cuts, values).astype(np.float64))
        refused: _Refused = []
        if self._program.flags & layout.FLAGS["refuse_missing"]:
            refused.append((_MISSING, np.isnan(values)))
        if self._program.flags & layout.FLAGS["refuse_infinite"]:
            refused.append((_INFINITE, np.isinf(values)))
            refused.append((_TOO_LARGE, np.isinf(narrow) & (kind == "float")))
        return narrow, refused

    def _walk(self, features: Floats) -> Floats:
        """Leaf after leaf, in the order of the trees."""
        outputs, width = self._program.outputs, self._program.width
        in_float32 = bool(self._program.flags & layout.FLAGS["float_sums"])
        scores = np.tile(self._start, (len(features), 1)).astype(np.float32 if in_float32 else np.float64)
        narrow = features.astype(np.float32)
        for t, root in enumerate(self._roots.tolist()):
            leaves = self._leaves[int(self._bases[t]) + self._descend(narrow, root)]
            if width == outputs:
                scores = scores + leaves.astype(scores.dtype)
            else:
                scores[:, t % outputs] = scores[:, t % outputs] + leaves[:, 0].astype(scores.dtype)
        sums: Floats = scores.astype(np.float64)
        return sums / len(self._roots) if self._program.flags & layout.FLAGS["divide"] else sums

    def _descend(self, x: Array, root: int) -> Any:
        at = np.full(len(x), root)
        while True:
            nodes = self._nodes[at]
            distance = (nodes["route"] & layout.DISTANCE).astype(np.int64)
            if not distance.any():
                return nodes["threshold"] & layout.PAYLOAD
            values = x[np.arange(len(x)), (nodes["route"] >> layout.FEATURE_SHIFT) & 0x7FF]
            right = self._right(nodes, values)
            at = at + np.where(distance > 0, distance + right, 0)

    def _right(self, nodes: Any, values: Any) -> Any:
        """1 where a row goes right. A category outside every set turns like a missing value."""
        is_missing = np.isnan(values)
        right = values > nodes["threshold"].view(np.float32)
        in_set = (nodes["threshold"] & layout.LEAF_BITS) == layout.LEAF_BITS
        if len(self._sets):
            is_category = (values >= 0) & (values < layout.SET_WORDS * 32)
            category = np.where(is_category, values, 0).astype(np.uint32)
            sets = self._sets[np.where(in_set, nodes["threshold"] & layout.PAYLOAD, 0) % len(self._sets)]
            words = sets[np.arange(len(sets)), category // 32]
            right = np.where(in_set, ~(words >> category % 32) & 1, right)
            is_missing = is_missing | (in_set & ~is_category)
        return np.where(is_missing, nodes["route"] >= layout.MISSING_RIGHT, right).astype(np.int64)

    def _add_products(self, features: Floats) -> Floats:
        outputs = self._program.outputs
        rows = self._coefficients.reshape(outputs, -1)
        scores = np.zeros((len(features), outputs))
        for f in range(features.shape[1]):
            scores += np.where(features[:, [f]] == 0, 0.0, features[:, [f]] * rows[:, f])
        scores += self._intercepts
        return scores


def _computed(name: str, values: Floats, a: float, b: float) -> Any:
    """The operations that refuse nothing."""
    if name == "fill":
        return np.where(np.isnan(values), a, values)
    if name == "clip":
        return np.clip(values, a, b)
    if name == "flush":
        return np.where(np.abs(values) <= a, 0.0, values)
    if name == "equal":
        return (values == a).astype(np.float64)
    if name == "replace":
        return np.where(values == a, b, values)
    arithmetic: dict[str, Any] = {"sub": np.subtract, "div": np.divide, "mul": np.multiply, "add": np.add}
    return arithmetic[name](values, a)


def _number(cell: Any) -> tuple[float, int]:
    if cell is None:
        return math.nan, 0
    if isinstance(cell, str) or not (isinstance(cell, float) or hasattr(cell, "__index__")):
        return 0.0, _NOT_A_NUMBER
    try:
        return float(cell), 0
    except OverflowError:
        return 0.0, _TOO_LARGE


def _note(found: dict[tuple[int, int], int], refused: _Refused, column: int) -> None:
    for code, rows in refused:
        for row in np.flatnonzero(rows).tolist():
            found.setdefault((row, column), code)


def _chosen(values: list[float], name: str) -> int:
    if len(values) == 1:
        return int(values[0] >= 0 if name == "labels_from_zero" else values[0] > 0)
    return int(np.argmax(values))
