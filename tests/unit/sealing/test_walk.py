"""The compiled walk, scalar and parallel, against the walk in numpy, over recipes that no estimator ever made."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor

from mlinfra.modelkit.sealing import nodes
from mlinfra.modelkit.sealing.kernel import open_kernel, open_numpy_kernel
from mlinfra.modelkit.sealing.layout import FINISHES, REFUSE, SINGLE_SCORE
from mlinfra.modelkit.sealing.opened import open_program
from mlinfra.modelkit.sealing.pack import pack
from mlinfra.modelkit.sealing.program import from_buffer, to_bytes
from mlinfra.modelkit.sealing.readback import check_nodes
from mlinfra.modelkit.sealing.recipe import (
    Answer,
    Feature,
    LinearModel,
    Op,
    Recipe,
    TreeModel,
    Trees,
    Vocabulary,
)

KERNELS = (open_kernel, partial(open_kernel, scalar_only=True), open_numpy_kernel)
_NUMBERS = (0.0, -0.0, 1.0, -1.5, 0.1, 3.0, 5e-324, 1e-40, 3.4e38, -3.5e38, 1e308, math.inf, -math.inf, math.nan)
_WORDS = ("a", "b", "c", "été")
_CHAINS = (
    (),
    (Op("fill", 0.5),),
    (Op("not_infinite"), Op("sub", 0.3), Op("div", 7.0)),
    (Op("not_infinite"), Op("mul", 1 / 3), Op("add", -2.0), Op("clip", 0.0, 1.0)),
    (Op("lookup", 2.0, 3.0, (-1.5, 0.1)), Op("equal", 1.0)),
    (Op("lookup", REFUSE, REFUSE, (-1.5, 0.0, 1.0, 3.0)),),
    (Op("flush", 1.0000000180025095e-35), Op("flush", 0.1)),
    (Op("lookup", 9.0, 8.0, (-1.5, 0.1, 3.0)), Op("replace", 9.0, math.nan), Op("replace", 8.0, -1.0)),
)


def _random_trees(rng: np.random.Generator, features: int, count: int, width: int, *, sets: int) -> Trees:
    """Trees grown at random: any shape, thresholds from the values that rows are made of."""
    left, right = [], []
    roots = []
    for _ in range(count):
        roots.append(len(left))
        open_ends = [len(left)]
        left.append(-1)
        right.append(-1)
        for _ in range(int(rng.integers(0, 25))):
            node = open_ends.pop(int(rng.integers(len(open_ends))))
            left[node], right[node] = len(left), len(left) + 1
            open_ends += [len(left), len(left) + 1]
            left += [-1, -1]
            right += [-1, -1]
    total = len(left)
    is_leaf = np.array(left) < 0
    thresholds = rng.choice([value for value in _NUMBERS if not math.isnan(value)] + [0.05, 2.0, 0.1000000001], total)
    in_set = ~is_leaf & (rng.random(total) < 0.5) if sets else np.zeros(total, bool)
    return Trees(
        left=np.array(left),
        right=np.array(right),
        feature=np.where(is_leaf, 0, rng.integers(0, features, total)),
        threshold=thresholds.astype(float),
        missing_left=rng.random(total) < 0.5,
        category_set=np.where(in_set, rng.integers(0, max(1, sets), total), -1),
        weight=rng.integers(1, 100, total),
        leaf=np.where(is_leaf, np.cumsum(is_leaf) - 1, -1),
        roots=np.array(roots),
        leaves=rng.choice([0.1, -0.0, 0.0, 1 / 3, 1e-300, 7.0], (int(is_leaf.sum()), width)),
        sets=rng.integers(0, 2**32, (sets, 8), dtype=np.uint64).astype(np.uint32),
    )


def _recipe(seed: int, form: str, kind: str) -> Recipe:
    rng = np.random.default_rng(seed)
    columns = int(rng.integers(1, 6))
    features = tuple(_feature(rng, columns, form) for _ in range(int(rng.integers(1, 9))))
    outputs = int(rng.integers(1, 4))
    if kind == "sparse":
        weights = rng.standard_normal((len(features), outputs))
        model: Any = LinearModel(weights, rng.standard_normal(outputs), sparse=True)
    else:
        width = outputs if rng.random() < 0.5 else 1
        trees = _random_trees(rng, len(features), int(rng.integers(1, 70)), width, sets=3 if kind == "sets" else 0)
        options = ("ranked", "divide", "refuse_missing", "refuse_infinite", "float_sums")
        flags = {name: bool(rng.random() < 0.5) for name in options}
        if flags["float_sums"]:  # such leaves are float32 to begin with
            trees = replace(trees, leaves=trees.leaves.astype(np.float32).astype(np.float64))
        model = TreeModel(trees, rng.choice([0.0, -0.0, 2.5], outputs), **flags)
    return Recipe("random", "predict", columns, features, model, Answer("rows"))


def _feature(rng: np.random.Generator, columns: int, form: str) -> Feature:
    column = int(rng.integers(columns))
    if form == "cells" and column % 2:
        missing, unknown = (int(code) for code in rng.choice([REFUSE, 0, 1, 4, 5], 2))
        return Feature(column, (Op("equal", 1.0),) if rng.random() < 0.5 else (), Vocabulary(_WORDS, missing, unknown))
    return Feature(column, _CHAINS[int(rng.integers(len(_CHAINS)))])


def _rows(seed: int, recipe: Recipe, count: int) -> Any:
    rng = np.random.default_rng(seed)
    if recipe.form == "numbers":
        return rng.choice(_NUMBERS, (count, recipe.columns))
    kinds = recipe.column_kinds()
    cells = {"number": (*_NUMBERS, 3, True, None), "category": (*_WORDS, "unseen", None, 7, math.nan)}
    return [[_pick(rng, cells.get(kind, (None,))) for kind in kinds] for _ in range(count)]


def _pick(rng: np.random.Generator, values: tuple[Any, ...]) -> Any:
    return values[int(rng.integers(len(values)))]


def _kept(kernel: Any, rows: Any) -> Any:
    refused = {row for row, _, _ in kernel.refusals(rows)}
    if isinstance(rows, list):
        return [row for index, row in enumerate(rows) if index not in refused]
    return np.ascontiguousarray(rows[[index for index in range(len(rows)) if index not in refused]])


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["numbers", "cells"]), st.sampled_from(["trees", "sets", "sparse"]))
def test_three_walks_give_the_same_bits_and_refuse_the_same_cells(seed, form, kind):
    recipe = _recipe(seed, form, kind)
    program = from_buffer(to_bytes(pack(recipe)))
    if kind != "sparse":
        check_nodes(recipe.model, program)
    walks = [kernel(program) for kernel in KERNELS]
    for count in (1, 3, 8, 33, 70, 1100):
        rows = _rows(seed + count, recipe, count)
        refusals = [walk.refusals(rows) for walk in walks]
        assert refusals[0] == refusals[1] == refusals[2]
        kept = _kept(walks[0], rows)
        if len(kept):
            scores = [bytes(walk.scores(kept)) for walk in walks]
            assert scores[0] == scores[1] == scores[2]
            rows_of = [walk.predict(kept, FINISHES.index("rows")) for walk in walks]
            assert repr(rows_of[0]) == repr(rows_of[1]) == repr(rows_of[2])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_row_is_refused_by_its_first_refused_cell_or_answered(kernel, data, tmp_path):
    recipe = _recipe(12, "numbers", "trees")
    walk = kernel(from_buffer(to_bytes(pack(recipe))))
    for row in _rows(5, recipe, 200):
        refused = walk.refusals(row[None, :].copy())
        if refused:
            with pytest.raises(ValueError, match="0"):
                walk.scores(row[None, :].copy())
        else:
            walk.scores(row[None, :].copy())


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_scores_are_finished_alike(finish, outputs):
    """A link's bits are those of the C library's exp, whether C or Python calls it."""
    if outputs > 1 and finish in SINGLE_SCORE:
        return
    labels = ("no", "yes") if outputs == 1 else ("a", "b", "c")
    model = LinearModel(np.ones((1, outputs)), np.zeros(outputs), sparse=True)
    answer = Answer(finish, labels if "labels" in finish else ())
    program = from_buffer(to_bytes(pack(Recipe("random", "predict", 1, (Feature(0),), model, answer))))
    rng = np.random.default_rng(0)
    edges = [0.0, -0.0, 1e-320, -1e-320, 88.7, -88.7, 103.9, 709.8, -709.8, 745.2, -745.2, 800.0, -800.0, 1e30, -1e30]
    scores = np.concatenate([edges, rng.standard_normal(3000) * 10]).astype(np.float32).astype(np.float64)
    scores = np.ascontiguousarray(rng.permutation(np.repeat(scores, outputs)).reshape(-1, outputs))
    found = [kernel(program).finish(scores, FINISHES.index(finish)) for kernel in KERNELS]
    assert repr(found[0]) == repr(found[1]) == repr(found[2])


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("biases", [1, 3])
def test_a_bias_is_added_as_numpy_adds_it(outputs, biases):
    model = LinearModel(np.ones((1, outputs)), np.zeros(outputs), sparse=True)
    program = from_buffer(to_bytes(pack(Recipe("random", "predict", 1, (Feature(0),), model, Answer("rows")))))
    rng = np.random.default_rng(1)
    scores = np.concatenate([[0.0, -0.0, 1e308], rng.standard_normal(300)])[:300].reshape(-1, outputs)
    scores = np.ascontiguousarray(scores)
    bias = np.array([-0.0, 1e308, 0.3])[:biases]
    kernels = [kernel(program) for kernel in KERNELS]
    if biases not in (1, outputs):
        for kernel in kernels[:-1]:
            with pytest.raises(ValueError, match="bias"):
                kernel.finish(scores, FINISHES.index("rows"), bias)
        return
    with np.errstate(over="ignore"):
        expected = repr((scores + bias).tolist())
        assert [repr(kernel.finish(scores, FINISHES.index("rows"), bias)) for kernel in kernels] == [expected] * 3


@pytest.mark.parametrize("finish", [-1, len(FINISHES), 99, 2**31 - 1])
def test_an_ending_that_is_not_there_is_refused(finish, data, sealed):
    model = sealed(RandomForestRegressor(2, random_state=0).fit(data.x, data.real))
    with pytest.raises(ValueError, match="finish"):
        model._kernel.predict(data.x, finish)


def test_the_first_of_equal_scores_is_chosen_and_the_first_that_is_no_number():
    model = LinearModel(np.ones((1, 3)), np.zeros(3), sparse=True)
    recipe = Recipe("random", "predict", 1, (Feature(0),), model, Answer("labels", ("a", "b", "c")))
    program = from_buffer(to_bytes(pack(recipe)))
    nan = math.nan
    scores = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [0.0, nan, 9.0], [nan, 1.0, nan], [-0.0, 0.0, 0.0]])
    for kernel in KERNELS:
        chosen = kernel(program).finish(scores, FINISHES.index("labels"))
        assert chosen == ["abc"[index] for index in np.argmax(scores, axis=1)]


def test_more_leaves_than_one_table_can_number_are_numbered_tree_by_tree(data, monkeypatch, sealed):
    estimator = RandomForestRegressor(10, random_state=0).fit(data.x, data.real)
    whole = sealed(estimator).predict(data.x)
    monkeypatch.setattr(nodes, "_MOST_SHARED", 100)
    assert sealed(estimator).predict(data.x) == whole == estimator.predict(data.x).tolist()


def test_large_batches_are_walked_in_blocks_without_a_seam(data, sealed):
    estimator = RandomForestRegressor(10, random_state=0).fit(data.x, data.real)
    rows = np.tile(data.x, (5, 1))
    assert sealed(estimator).predict(rows) == estimator.predict(rows).tolist()


def test_a_refused_row_in_a_later_block_has_its_own_number(data, sealed):
    model = sealed(RandomForestRegressor(3, random_state=0).fit(data.x, data.real))
    rows = np.tile(data.x, (5, 1))
    rows[7001, 4] = math.inf
    assert [(cell["row"], cell["column"]) for cell in model.refuses(rows)] == [(7001, 4)]


def test_wide_rows_are_sealed_by_the_features_that_are_read(data, tmp_path, quiet):
    """One-hot columns by the thousand: a tree can number 2,048 features, so those that nothing reads are left out."""
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415  this test alone
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415  this test alone

    rng = np.random.default_rng(0)
    table = np.empty((3000, 2), dtype=object)
    table[:, 0] = [f"shop {index}" for index in rng.integers(0, 2600, 3000)]
    table[:, 1] = rng.choice(["a", "b"], 3000)
    encoder = OneHotEncoder(handle_unknown="ignore")
    estimator = make_pipeline(encoder, RandomForestRegressor(2, max_depth=4, random_state=0))
    estimator.fit(table, (table[:, 1] == "a") + rng.standard_normal(3000))
    from mlinfra.modelkit.sealing import open_sealed, seal  # noqa: PLC0415  beside what they are asked

    document = seal(estimator, "predict", table[:100], tmp_path)
    assert "reason" not in document
    rows = [list(row) for row in table[:500]]
    assert open_sealed(tmp_path, document).predict(rows) == estimator.predict(table[:500]).tolist()


def test_an_open_model_holds_its_file_after_the_folder_is_gone(data, tmp_path, sealed):
    model = sealed(RandomForestRegressor(3, random_state=0).fit(data.x, data.real))
    before = model.predict(data.x)
    (tmp_path / "sealed.bin").unlink()
    assert model.predict(data.x) == before


def test_a_model_can_be_opened_by_its_bytes_alone(data, tmp_path, sealed):
    model = sealed(RandomForestRegressor(3, random_state=0).fit(data.x, data.real))
    again = open_program(from_buffer((tmp_path / "sealed.bin").read_bytes()))
    assert again.predict(data.x) == model.predict(data.x)
