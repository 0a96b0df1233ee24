"""A recipe to the arrays of a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.modelkit.sealing import layout
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.nodes import pack_trees
from mlinfra.modelkit.sealing.program import Matrix, Program
from mlinfra.modelkit.sealing.recipe import LinearModel, NotSealed, TreeModel, paired

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Array, Feature, Floats, Recipe, Vocabulary
else:
    np = Lazy("numpy")


class _Slots(NamedTuple):
    """The cells that features read, each once, and where each feature finds its own."""

    rows: list[tuple[int, int, int, int]]
    tables: list[Vocabulary]
    of_feature: list[int]


def pack(recipe: Recipe) -> Program:
    """The program of a recipe; raises NotSealed where the format has no room for it."""
    kept = _kept_features(recipe)
    features = [recipe.features[index] for index in kept]
    slots = _cell_slots(features) if recipe.form == "cells" else _number_slots(recipe, features)
    cuts = _cuts(recipe)
    arrays: dict[str, Array] = {
        "slots": np.array(slots.rows, dtype=layout.SLOT),
        **_feature_arrays(recipe.model, list(paired(kept, features)), slots, cuts),
        **_model_arrays(recipe.model, kept, cuts),
    }
    model = recipe.model
    return Program(
        kind=recipe.kind,
        method=recipe.method,
        form=recipe.form,
        columns=recipe.columns,
        names=recipe.names,
        outputs=model.outputs,
        width=model.trees.leaves.shape[1] if isinstance(model, TreeModel) else 1,
        flags=_flags(model),
        finish=recipe.answer.finish,
        order=recipe.answer.order,
        labels=recipe.answer.labels,
        tables=tuple(table.values for table in slots.tables),
        matrix=_matrix(model),
        arrays={name: array.tobytes(order="A") for name, array in arrays.items()},
    )


def _kept_features(recipe: Recipe) -> list[int]:
    """All features; where a tree cannot number them, those that it reads and those whose cells may be refused."""
    count = len(recipe.features)
    if isinstance(recipe.model, LinearModel) or count <= layout.MOST_FEATURES:
        return list(range(count))
    trees = recipe.model.trees
    read = set(trees.feature[trees.left >= 0].tolist())
    kept = [i for i, feature in enumerate(recipe.features) if i in read or feature.vocabulary is None]
    if len(kept) > layout.MOST_FEATURES:
        raise NotSealed(f"its trees read {len(kept)} features; {layout.MOST_FEATURES} can be sealed")
    return kept


def _number_slots(recipe: Recipe, features: list[Feature]) -> _Slots:
    unread = set(range(recipe.columns)) - {feature.column for feature in features}
    rows = [(column, layout.UNREAD if column in unread else layout.NUMBER, 0, 0) for column in range(recipe.columns)]
    return _Slots(rows, [], [feature.column for feature in features])


def _cell_slots(features: list[Feature]) -> _Slots:
    found: dict[tuple[int, Vocabulary | None], int] = {}
    slots = _Slots([], [], [])
    for feature in features:
        key = (feature.column, feature.vocabulary)
        if key not in found:
            found[key] = len(slots.rows)
            slots.rows.append(_slot(feature, len(slots.tables)))
            slots.tables.extend([feature.vocabulary] if feature.vocabulary else [])
        slots.of_feature.append(found[key])
    return slots


def _slot(feature: Feature, table: int) -> tuple[int, int, int, int]:
    if feature.vocabulary is None:
        return (feature.column, layout.NUMBER, 0, 0)
    return (feature.column, table, feature.vocabulary.missing, feature.vocabulary.unknown)


def _feature_arrays(
    model: TreeModel | LinearModel, features: list[tuple[int, Feature]], slots: _Slots, cuts: list[Floats]
) -> Mapping[str, Array]:
    """`features` come with the number that the model's trees know them by."""
    ops: list[tuple[Any, ...]] = []
    known: list[float] = []
    rows = []
    edges = np.cumsum([0] + [len(part) for part in cuts])
    for (index, feature), slot in paired(features, slots.of_feature):
        kind, cut_first, cut_count = _kind(model, index, edges)
        rows.append((slot, len(ops), len(feature.ops), layout.KINDS.index(kind), cut_first, cut_count, (0, 0)))
        for op in feature.ops:
            ops.append((layout.OPS.index(op.name), len(known), len(op.known), 0, op.a, op.b))
            known.extend(op.known)
    return {
        "features": np.array(rows, dtype=layout.FEATURE),
        "ops": np.array(ops, dtype=layout.OP),
        "known": np.array(known, dtype=np.float64),
        "cuts": np.concatenate([*cuts, np.zeros(0)]),
    }


def _cuts(recipe: Recipe) -> list[Floats]:
    """For each feature of a ranked model the thresholds that its nodes compare with, ascending."""
    if not isinstance(recipe.model, TreeModel) or not recipe.model.ranked:
        return []
    return recipe.model.trees.thresholds(len(recipe.features))


def _kind(model: TreeModel | LinearModel, index: int, edges: Any) -> tuple[str, int, int]:
    if not isinstance(model, TreeModel):
        return "double", 0, 0
    if not model.ranked or index in model.categorical:
        return "float", 0, 0
    return "rank", int(edges[index]), int(edges[index + 1] - edges[index])


def _model_arrays(model: TreeModel | LinearModel, kept: list[int], cuts: list[Floats]) -> Mapping[str, Array]:
    if isinstance(model, TreeModel):
        return {**pack_trees(model, kept, cuts), "start": np.asarray(model.start, np.float64)}
    if model.sparse:
        bias = np.broadcast_to(model.bias, (model.outputs,))
        weights = model.weights.reshape(-1, model.outputs)
        return {"coefficients": np.ascontiguousarray(weights.T), "intercepts": np.ascontiguousarray(bias)}
    return {"weights": model.weights, "bias": model.bias}


def _matrix(model: TreeModel | LinearModel) -> Matrix | None:
    if isinstance(model, TreeModel) or model.sparse:
        return None
    order = "C" if model.weights.flags.c_contiguous else "F"
    if order == "F" and not model.weights.flags.f_contiguous:
        raise NotSealed("coefficients that are scattered in memory are not sealed")
    return Matrix(shape=model.weights.shape, order=order, layout=model.layout)


def _flags(model: TreeModel | LinearModel) -> int:
    if isinstance(model, LinearModel):
        names = ["refuse_missing", "refuse_infinite"]
    else:
        options = ("refuse_missing", "refuse_infinite", "divide", "float_sums")
        names = [name for name in options if getattr(model, name)]
    return sum(layout.FLAGS[name] for name in names)
