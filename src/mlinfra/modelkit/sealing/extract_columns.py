"""Transformers of scikit-learn as chains of operations, one value at a time.

Every transformer here treats each column on its own, so what it does to a column is a list of operations on a float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.layout import REFUSE
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import Category, Columns, Feature, NotSealed, Op, Vocabulary, paired, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Cell

    Column = Feature | Category
else:
    np = Lazy("numpy")

_LARGEST_EXACT = 2**53  # integers beyond it change when they become float64
_NOT_INFINITE = Op("not_infinite")  # the check that all of these transformers begin with


def pipeline(step: Any, columns: Columns) -> Columns:
    """One transformer after the other."""
    from mlinfra.modelkit.sealing.extract import transformed  # noqa: PLC0415  the two modules call each other

    for _, part in step.steps:
        columns = transformed(part, columns)
    return columns


def column_transformer(step: Any, columns: Columns) -> Columns:
    """Every part on its own columns, side by side."""
    from mlinfra.modelkit.sealing.extract import transformed  # noqa: PLC0415  the two modules call each other

    _refuse_sparse(step, columns)
    items: list[Column] = []
    for name, part, _ in step.transformers_:
        chosen = step._transformer_to_input_indices[name]  # noqa: SLF001  the only place that resolves names and slices
        if len(chosen) == 0 or (isinstance(part, str) and part == "drop"):
            continue
        items += transformed(part, Columns(tuple(columns.items[index] for index in chosen))).items
    return Columns(tuple(items), sparse=bool(step.sparse_output_))


def imputer(step: Any, columns: Columns) -> Columns:
    """A missing cell becomes the statistic of its column."""
    _refuse_sparse(step, columns)
    of_objects = step._fit_dtype.kind in "OUS"  # noqa: SLF001  decides whether cells are read as numbers
    if not (_is_nan(step.missing_values) or (step.missing_values is None and of_objects)):
        raise NotSealed(f"SimpleImputer has missing_values={step.missing_values!r}: NaN is sealed, and None for text")
    filled_as = getattr(step, "_fill_dtype", step.statistics_.dtype)  # known since scikit-learn 1.8
    statistics = step.statistics_.astype(filled_as)
    if any(_is_nan(value) for value in statistics.tolist()):
        raise NotSealed("SimpleImputer drops a column that had no value when it was fitted")
    fills = [plain(value) for value in statistics]
    if of_objects:
        marker = None if step.missing_values is None else math.nan
        return Columns(tuple(_fill_category(item, fill, marker) for item, fill in paired(columns.items, fills)))
    return Columns(tuple(_fill_number(item, fill) for item, fill in paired(columns.items, fills)))


def standard_scaler(step: Any, columns: Columns) -> Columns:
    """Minus the mean, by the scale; either may be switched off."""
    centred = step.mean_ if step.with_mean else None
    scaled = step.scale_ if step.with_std else None
    return _arithmetic(step, columns, [("sub", centred), ("div", scaled)])


def min_max_scaler(step: Any, columns: Columns) -> Columns:
    """Times the scale, plus the offset, clipped where asked for."""
    result = _arithmetic(step, columns, [("mul", step.scale_), ("add", step.min_)])
    if not step.clip:
        return result
    low, high = step.feature_range
    clip = Op("clip", float(low), float(high))
    return Columns(tuple(feature.then(clip) for feature in result.features()))


def passthrough(step: Any, columns: Columns) -> Columns:
    """A FunctionTransformer without a function."""
    if step.validate:
        raise NotSealed("FunctionTransformer has validate=True: only False was proved")
    return columns


def one_hot_encoder(step: Any, columns: Columns) -> Columns:
    """One column of 0 and 1 for each category."""
    _refuse_sparse(step, columns)
    _need_float64(step)
    items: list[Column] = []
    for item, categories in paired(columns.items, step.categories_):
        values, marker = _categories(categories)
        unknown = REFUSE if step.handle_unknown == "error" else len(values) + 1  # so that no column of it is 1
        missing = len(values) if len(categories) > len(values) else unknown
        coded = _coded(item, categories, Vocabulary(values, missing, unknown, marker))
        items += [coded.then(Op("equal", float(code))) for code in range(len(categories))]
    return Columns(tuple(items), sparse=bool(step.sparse_output))


def ordinal_encoder(step: Any, columns: Columns) -> Columns:
    """The position of each category."""
    _refuse_sparse(step, columns)
    _need_float64(step)
    return Columns(
        tuple(_ordinal(step, item, categories) for item, categories in paired(columns.items, step.categories_))
    )


def _ordinal(step: Any, item: Column, categories: Any) -> Feature:
    values, marker = _categories(categories)
    has_missing = len(categories) > len(values)
    unknown = REFUSE if step.handle_unknown == "error" else len(values) + 1
    missing = len(values) if has_missing else unknown
    coded = _coded(item, categories, Vocabulary(values, missing, unknown, marker))
    if has_missing and marker is not None:  # None is a category like any other here
        coded = coded.then(Op("replace", float(len(values)), float(step.encoded_missing_value)))
    if unknown != REFUSE:
        coded = coded.then(Op("replace", float(unknown), float(step.unknown_value)))
    return coded


def _coded(item: Column, categories: Any, vocabulary: Vocabulary) -> Feature:
    """A column as codes: through a vocabulary where cells are categories, through a look-up where they are numbers."""
    if isinstance(item, Feature) and categories.dtype.kind in "iuf":
        known = tuple(float(value) for value in vocabulary.values if not isinstance(value, str) and value is not None)
        return item.then(_NOT_INFINITE, Op("lookup", float(vocabulary.missing), float(vocabulary.unknown), known))
    if isinstance(item, Feature) and not item.is_cell:
        raise NotSealed(f"column {item.column} is encoded as text after it was computed with")
    if isinstance(item, Feature):
        return Feature(item.column, (), vocabulary)
    if categories.dtype.kind not in "OU":
        raise NotSealed(f"column {item.column} is imputed as text and encoded as numbers")
    code = vocabulary.values.index(item.fill) if item.fill in vocabulary.values else vocabulary.unknown
    return Feature(item.column, (), Vocabulary(vocabulary.values, code, vocabulary.unknown, item.marker))


def _categories(categories: Any) -> tuple[tuple[Cell, ...], float | None]:
    """The categories without the missing one, which comes last if at all, and what that one is: NaN or None."""
    values = [plain(value) for value in categories.tolist()]
    marker = None if values and values[-1] is None else math.nan
    if values and (marker is None or _is_nan(values[-1])):
        values = values[:-1]
    for value in values:
        if not isinstance(value, (str, int, float)) or _is_nan(value):
            raise NotSealed(f"a category is {value!r}: text and numbers are sealed")
        if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
            raise NotSealed(f"a category is {value!r}: integers beyond 2^53 are not sealed")
    return tuple(values), marker


def _fill_number(item: Column, value: Any) -> Column:
    if isinstance(item, Category):
        raise NotSealed(f"column {item.column} is imputed as text and as a number")
    return item.then(_NOT_INFINITE, Op("fill", float(value)))


def _fill_category(item: Column, value: Any, marker: float | None) -> Column:
    if isinstance(item, Feature) and not item.is_cell:
        raise NotSealed(f"column {item.column} is imputed as text after it was computed with")
    if not isinstance(value, (str, int, float)):
        raise NotSealed(f"SimpleImputer fills in {value!r}: text and numbers are sealed")
    return item if isinstance(item, Category) else Category(item.column, value, marker)


def _arithmetic(step: Any, columns: Columns, parts: Iterable[tuple[str, Any]]) -> Columns:
    """Adds one operation a part to each column; a part without numbers is switched off."""
    _refuse_sparse(step, columns)
    features = tuple(feature.then(_NOT_INFINITE) for feature in columns.features())
    for name, numbers in parts:
        if numbers is not None:
            features = tuple(
                f.then(Op(name, float(number))) for f, number in paired(features, np.asarray(numbers).tolist())
            )
    return Columns(features)


def _refuse_sparse(step: Any, columns: Columns) -> None:
    if columns.sparse:
        raise NotSealed(
            f"{type(step).__name__} works on a sparse matrix, which rounds otherwise; set sparse_threshold=0"
        )


def _need_float64(step: Any) -> None:
    if np.dtype(step.dtype) != np.float64:
        raise NotSealed(f"{type(step).__name__} has dtype={step.dtype!r}: only float64 is sealed")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124  NaN is the one value that differs from itself
