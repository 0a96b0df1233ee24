"""The rows that a sealed model is proved with.

Training rows prove nothing: rounding a threshold the wrong way changes none of their answers. So these rows stand on
the thresholds and beside them, and hold what an input can hold at worst.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import TreeModel, paired

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Feature, Floats, Recipe, Trees
else:
    np = Lazy("numpy")

Row = list[Any]

_LARGEST_FLOAT32 = 3.4028234663852886e38
_FIRST_TOO_LARGE = 3.4028235677973366e38  # the first float64 that rounds to infinity as float32
EXTREMES = (
    None,
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    5e-324,
    -1e-320,
    1.401298464324817e-45,
    -1.1754942e-38,
    _LARGEST_FLOAT32,
    -_LARGEST_FLOAT32,
    math.nextafter(_FIRST_TOO_LARGE, 0.0),
    _FIRST_TOO_LARGE,
    -_FIRST_TOO_LARGE,
    1e308,
    -1.7976931348623157e308,
    2.0**53,
    2.0**53 + 2,
    -(2.0**63),
    0.5,
    -1.0,
    255.0,
    256.0,
)
_WHOLE_NUMBERS = (2**53 + 1, -(2**63) - 1, 2**70 + 1, 10**400, True, False)  # cells of a list, not of a buffer
_STRANGE_CATEGORIES = (None, "", "\x00unseen", " ", 7.25, True, 10**30)
_MOST_EXTREME_ROWS = 3000
_MOST_THRESHOLDS = 800  # a feature; `readback` looks at every one
_NEIGHBOURS = 8  # about so many values are tried for a threshold
_MOST_CANDIDATES = _NEIGHBOURS * _MOST_THRESHOLDS  # a column
_MOST_CELLS = 1_000_000  # of all rows on thresholds
_MIXED = 3000
_PATHS = 750  # each gives four rows
_REPLACED = 0.4  # of the cells of a mixed row
_EMPTIED = 0.2  # of the mixed rows lose a cell


class Probes(NamedTuple):
    """The rows, and how many of the model's different thresholds they stand on and beside."""

    rows: list[Row]
    tried: int
    thresholds: int


def probe(recipe: Recipe, examples: Sequence[Row], seed: int = 1) -> Probes:
    """Thresholds with their neighbours, paths through trees, extremes one cell at a time; the same rows each time."""
    rng = random.Random(seed)  # noqa: S311  not secrets
    with np.errstate(all="ignore"):
        thresholds = _thresholds(recipe)
        most = min(_MOST_THRESHOLDS, max(10, _MOST_CELLS // recipe.columns // _NEIGHBOURS))
        tried = [_sampled(values, most, rng) for values in thresholds]
        columns = [_candidates(recipe, column, tried, rng) for column in range(recipe.columns)]
        bases = list(examples) or [[rng.choice(column) for column in columns] for _ in range(64)]
        rows = [*bases[:1000], *_stacked(columns, rng), *_mixed(columns, bases, rng)]
        rows += _along_paths(recipe, bases, rng)
        rows += _extremes(recipe, bases, rng)
    return Probes(rows, sum(map(len, tried)), sum(map(len, thresholds)))


def _thresholds(recipe: Recipe) -> list[list[float]]:
    """For each feature the different thresholds that it is compared with."""
    count = len(recipe.features)
    if not isinstance(recipe.model, TreeModel):
        return [[] for _ in range(count)]
    return [values[np.isfinite(values)].tolist() for values in recipe.model.trees.thresholds(count)]


def _sampled(values: list[Any], most: int, rng: random.Random) -> list[Any]:
    return values if len(values) <= most else rng.sample(values, most)


def _candidates(recipe: Recipe, column: int, thresholds: list[list[float]], rng: random.Random) -> list[Any]:
    """Values that are worth trying in a column; never empty."""
    values: list[Any] = []
    for index, feature in enumerate(recipe.features):
        if feature.column != column:
            continue
        if feature.vocabulary:
            values += feature.vocabulary.values
        else:
            values += _near(feature, np.array(thresholds[index]))
        values += [near for op in feature.ops for value in op.known for near in _neighbours(value)]
    distinct = _sampled(list(dict.fromkeys(values)), _MOST_CANDIDATES, rng)
    rng.shuffle(distinct)
    return distinct or [0.0, 1.0, -1.5, 0.1, 1e-3, 12345.678, -7e5]


def _near(feature: Feature, thresholds: Floats) -> list[float]:
    """Cells whose feature stands on a threshold or beside it."""
    raw = _before(feature, np.concatenate([thresholds, _beside(thresholds)]))
    if raw is None:
        return []
    if feature.ops:  # the way back rounds: try a little further to both sides
        up, down = np.nextafter(raw, np.inf), np.nextafter(raw, -np.inf)
        raw = np.concatenate([raw, up, down, np.nextafter(up, np.inf), np.nextafter(down, -np.inf)])
    return [value for value in raw.tolist() if math.isfinite(value)]


def _beside(thresholds: Floats) -> Floats:
    """The neighbours of thresholds as float64 and as float32, and the points where float32 rounds to either side."""
    narrow = thresholds.astype(np.float32)
    up, down = np.nextafter(narrow, np.float32(np.inf)), np.nextafter(narrow, np.float32(-np.inf))
    near = [np.nextafter(thresholds, np.inf), np.nextafter(thresholds, -np.inf)]
    near += [part.astype(np.float64) for part in (narrow, up, down)]
    near += [near[2] + (near[3] - near[2]) / 2, near[2] - (near[2] - near[4]) / 2]
    values: Floats = np.concatenate(near)
    return values[np.isfinite(values)]


def _before(feature: Feature, values: Floats) -> Floats | None:
    """About the cells whose feature has these values; None where the operations cannot be undone."""
    for op in reversed(feature.ops):
        if op.name in ("equal", "lookup", "replace"):
            return None
        if op.name == "sub":
            values = values + op.a
        elif op.name == "add":
            values = values - op.a
        elif op.name == "div":
            values = values * op.a
        elif op.name == "mul":
            values = values / op.a
    return values


def _neighbours(value: float) -> list[float]:
    return [value, float(np.nextafter(value, np.inf)), float(np.nextafter(value, -np.inf)), value + 0.5]


def _stacked(columns: list[list[Any]], rng: random.Random) -> Iterator[Row]:
    """Rows whose every cell is a candidate, each candidate once."""
    for index in range(max(map(len, columns))):
        yield [column[index] if index < len(column) else rng.choice(column) for column in columns]


def _mixed(columns: list[list[Any]], bases: Sequence[Row], rng: random.Random) -> Iterator[Row]:
    """Example rows with some cells replaced by candidates, and now and then by nothing."""
    for _ in range(min(_MIXED, _MOST_CELLS // len(columns))):
        base = paired(rng.choice(bases), columns)
        row = [rng.choice(column) if rng.random() < _REPLACED else cell for cell, column in base]
        if rng.random() < _EMPTIED:
            row[rng.randrange(len(row))] = None
        yield row


def _along_paths(recipe: Recipe, bases: Sequence[Row], rng: random.Random) -> Iterator[Row]:
    """For nodes of the trees: a row that takes the path to the node and stands on its threshold, then beside it."""
    if not isinstance(recipe.model, TreeModel):
        return
    trees = recipe.model.trees
    inner = np.flatnonzero(trees.left >= 0)
    compares = inner[trees.category_set[inner] < 0]
    if not len(compares):
        return
    parents = np.full(len(trees.left), -1)
    parents[trees.left[inner]] = inner
    parents[trees.right[inner]] = inner
    for _ in range(_PATHS):
        node = int(compares[rng.randrange(len(compares))])
        values = _path(trees, parents, node)
        threshold = float(trees.threshold[node])
        narrow = np.float32(min(max(threshold, -_LARGEST_FLOAT32), _LARGEST_FLOAT32))
        beside = (float(np.nextafter(narrow, np.float32(np.inf))), float(np.nextafter(narrow, np.float32(-np.inf))))
        for value in (threshold, float(np.nextafter(threshold, np.inf)), *beside):
            yield _row_with(recipe, rng.choice(bases), {**values, int(trees.feature[node]): value})


def _path(trees: Trees, parents: Any, node: int) -> dict[int, float]:
    """For each feature on the way to a node a value that goes there."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    child, parent = node, int(parents[node])
    while parent >= 0:
        feature, threshold = int(trees.feature[parent]), float(trees.threshold[parent])
        if trees.category_set[parent] >= 0:
            pass
        elif trees.left[parent] == child:
            high[feature] = min(high.get(feature, math.inf), threshold)
        else:
            low[feature] = max(low.get(feature, -math.inf), threshold)
        child, parent = parent, int(parents[parent])
    above = {feature: float(np.nextafter(np.float32(value), np.float32(np.inf))) for feature, value in low.items()}
    return {**above, **high}


def _row_with(recipe: Recipe, base: Row, values: dict[int, float]) -> Row:
    row = list(base)
    for index, value in values.items():
        feature = recipe.features[index]
        raw = None if feature.vocabulary else _before(feature, np.array([value]))
        if raw is not None and math.isfinite(raw[0]):
            row[feature.column] = float(raw[0])
    return row


def _extremes(recipe: Recipe, bases: Sequence[Row], rng: random.Random) -> Iterator[Row]:
    """Rows in which one cell is extreme."""
    cells = []
    for column, kind in enumerate(recipe.column_kinds()):
        if kind == "category":
            known = [f.vocabulary.values for f in recipe.features if f.column == column and f.vocabulary]
            values: tuple[Any, ...] = _STRANGE_CATEGORIES + tuple(known[0][:20])
        else:
            values = EXTREMES if recipe.form == "numbers" else EXTREMES + _WHOLE_NUMBERS
        cells += [(column, value) for value in values] if kind != "unused" else []
    if len(cells) > _MOST_EXTREME_ROWS:
        cells = rng.sample(cells, _MOST_EXTREME_ROWS)
    for column, value in cells:
        row = list(rng.choice(bases))
        row[column] = value
        yield row
