"""The proof is proved by breaking what it guards: each fault below must end in a reason, not in a sealed model."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from mlinfra.modelkit.sealing import (
    build,
    extract_boosting,
    extract_columns,
    extract_trees,
    nodes,
    opened,
    seal,
    sealer,
)
from mlinfra.modelkit.sealing.prove import Proof, differences
from mlinfra.modelkit.sealing.recipe import Columns


def _cases(data, mixed):
    """What each fault is tried on; sealed without a reason as long as nothing is broken."""
    table, labels = mixed
    parts = [("n", SimpleImputer(), [0, 1, 2, 3]), ("c", OneHotEncoder(handle_unknown="ignore"), [4, 5, 6])]
    sparse = ColumnTransformer(parts, sparse_threshold=1.0)
    scaled = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    by_column = make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 2, 4, 6, 8, 10]), ("b", StandardScaler(), [1, 3, 5])]),
        LogisticRegression(),
    )
    return {
        "forest": (RandomForestClassifier(12, random_state=0), data.missing, data.three),
        "regressor": (RandomForestRegressor(12, random_state=0), data.x, data.real),
        "boosting": (HistGradientBoostingClassifier(max_iter=20), data.missing, data.binary),
        "classes": (HistGradientBoostingClassifier(max_iter=10), data.missing, data.ten),
        "sets": (HistGradientBoostingClassifier(max_iter=20, categorical_features=[3, 5]), data.missing, data.binary),
        "old boosting": (GradientBoostingClassifier(n_estimators=10), data.x, data.binary),
        "scaled": (scaled, data.missing, data.binary),
        "clipped": (make_pipeline(MinMaxScaler(clip=True), LogisticRegression()), data.x, data.binary),
        "by column": (by_column, data.x, data.binary),
        "sparse": (make_pipeline(sparse, LogisticRegression(max_iter=500)), table, labels),
    }


@pytest.fixture
def attempt(data, mixed, tmp_path, quiet):
    """Seals one of the cases and returns the document."""

    def run(case, method=None):
        estimator, x, y = _cases(data, mixed)[case]
        estimator.fit(x, y)
        method = method or ("predict_proba" if hasattr(estimator, "predict_proba") else "predict")
        return seal(estimator, method, x[:300], tmp_path)

    return run


@pytest.mark.thorough
@pytest.mark.parametrize(
    "case", ["forest", "regressor", "boosting", "classes", "sets", "old boosting", "scaled", "sparse"]
)
def test_what_is_whole_is_sealed(case, attempt):
    assert "reason" not in attempt(case)


# ---- faults of the compiled walk: name: (case, what the source says, what the broken source says)

_FAULTS = {
    "equal goes right": ("forest", "(uint32_t)(value > node.threshold)", "(uint32_t)(value >= node.threshold)"),
    "equal goes right in parallel": ("forest", "_CMP_GT_OQ", "_CMP_GE_OQ"),
    "a reciprocal": ("regressor", "scores[i] /= (double)m->n_trees", "scores[i] *= 1.0 / (double)m->n_trees"),
    "trees in reverse": (
        "regressor",
        "const Node *tree = m->nodes + m->roots[t];",
        "size_t last = m->n_trees - 1; const Node *tree = m->nodes + m->roots[last - t];",
    ),
    "sums in float32": ("regressor", "if (flags & FLOAT_SUMS)", "if (1)"),
    "missing turns elsewhere": ("forest", "& (node.route >> 31)", "& ~(node.route >> 31)"),
    "missing turns elsewhere in parallel": ("forest", "_mm256_srai_epi32(route, 31)", "_mm256_setzero_si256()"),
    "rounded to zero": ("forest", "casts[i] = (float)values[i];", "casts[i] = nextafterf((float)values[i], 0);"),
    "a rank too high": ("boosting", "(*low < value)", "(*low <= value)"),
    "a rank too high in batches": ("boosting", "(cuts[low[lane]] < value)", "(cuts[low[lane]] <= value)"),
    "exp in float32": ("boosting", "(1.0 + exp(-score))", "(1.0 + (double)expf((float)-score))"),
    "both sides through exp": ("boosting", "pair[0] = 1.0 - pair[1];", "pair[0] = 1.0 / (1.0 + exp(score));"),
    "the complement of a set": ("sets", "return ~(all_sets", "return (all_sets"),
    "the last of equals": ("forest", "if (scores[k] > scores[best])", "if (scores[k] >= scores[best])"),
    "a product with a reciprocal": ("scaled", "v[i] = v[i] / a;", "v[i] = v[i] * (1.0 / a);"),
    "nothing filled in": ("scaled", "v[i] != v[i] ? a : v[i];", "v[i];"),
    "products from the right": (
        "sparse",
        "for (size_t f = 0; f < m->n_features; f++)\n                if",
        "for (size_t f = m->n_features; f-- > 0;)\n                if",
    ),
    "the first category for an unseen one": ("sparse", "*value = slot->unknown;", "*value = 0;"),
    "answers what is missing": ("old boosting", "if (m->flags & REFUSE_MISSING)", "if (0)"),
    "refuses what is missing": ("boosting", "if (m->flags & REFUSE_MISSING)", "if (1)"),
    "answers what float32 cannot hold": ("forest", "large ? TOO_LARGE : 0", "0"),
    "answers what is infinite": ("clipped", "return code ? INFINITE : 0;", "return 0;"),
}
_METHODS = {"the last of equals": "predict"}


def _compiled(folder, old: str, new: str):
    """The walk with one fault, as a module."""
    text = build.SOURCE.read_text()
    assert old in text
    source = folder / "walk.c"
    source.write_text(text.replace(old, new))
    target = folder / build.TARGET.name
    build.build(source, target)
    spec = importlib.util.spec_from_file_location("mlinfra.modelkit.sealing._walk", target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_of_the_compiled_walk_is_seen(fault, attempt, tmp_path, monkeypatch):
    case, old, new = _FAULTS[fault]
    (tmp_path / "broken").mkdir()
    broken = _compiled(tmp_path / "broken", old, new)
    monkeypatch.setitem(sys.modules, "mlinfra.modelkit.sealing._walk", broken)
    document = attempt(case, _METHODS.get(fault))
    found = ("differs from the estimator", "refuses", "the sealed form would answer")
    assert any(words in document["reason"] for words in found), document["reason"]


@pytest.mark.thorough
def test_a_walk_without_a_fault_is_seen_to_have_none(attempt, tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    whole = _compiled(tmp_path / "whole", "the walk", "the walk")
    monkeypatch.setitem(sys.modules, "mlinfra.modelkit.sealing._walk", whole)
    assert "reason" not in attempt("forest")


# ---- faults of what is taken out of an estimator


def _nearest(values):
    return values.astype(np.float32)


def _shifted(values):
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


@pytest.mark.parametrize("rounded", [_nearest, _shifted])
@pytest.mark.parametrize("read_back", [True, False])
def test_thresholds_rounded_otherwise_are_seen(rounded, read_back, attempt, monkeypatch):
    """By reading the nodes back, and without that by the answers alone."""
    monkeypatch.setattr(nodes, "round_down", rounded)
    if not read_back:
        monkeypatch.setattr(sealer, "check_nodes", lambda *_: None)
    assert ("not rounded down" if read_back else "differs") in attempt("forest")["reason"]


def test_training_rows_alone_would_not_have_seen_it(data, tmp_path, monkeypatch, sealed):
    estimator = RandomForestClassifier(12, random_state=0).fit(data.x, data.three)
    monkeypatch.setattr(nodes, "round_down", _nearest)
    monkeypatch.setattr(sealer, "check_nodes", lambda *_: None)
    monkeypatch.setattr(sealer, "prove", lambda *_: Proof(0, 0, 0, 0, 0))
    assert differences(estimator.predict_proba(data.x), sealed(estimator, "predict_proba").predict(data.x)) == 0


def _changed_trees(**changes):
    """A fault of the trees: what `gather` yields, with some of its arrays changed."""
    whole = extract_trees.gather

    def gather(*arguments, **keywords):
        trees = whole(*arguments, **keywords)
        return replace(trees, **{name: change(trees) for name, change in changes.items()})

    return gather


_TREE_FAULTS = {
    "a leaf one bit off": {"leaves": lambda trees: np.nextafter(trees.leaves, np.inf)},
    "a leaf of its neighbour": {"leaf": lambda trees: np.where(trees.leaf > 0, trees.leaf - 1, trees.leaf)},
    "children exchanged": {"left": lambda trees: trees.right, "right": lambda trees: trees.left},
    "missing exchanged": {"missing_left": lambda trees: ~trees.missing_left},
    "thresholds in float32": {"threshold": lambda trees: trees.threshold.astype(np.float32).astype(np.float64)},
    "another feature": {"feature": lambda trees: np.where(trees.feature == 4, 6, trees.feature)},
}


@pytest.mark.parametrize("fault", _TREE_FAULTS)
def test_a_fault_in_the_trees_is_seen_by_the_answers(fault, attempt, monkeypatch):
    monkeypatch.setattr(extract_trees, "gather", _changed_trees(**_TREE_FAULTS[fault]))
    assert "differs from the estimator" in attempt("forest")["reason"]


def _without_mean(step, columns):
    return extract_columns._arithmetic(step, columns, [("div", step.scale_)])


def _in_another_order(step, columns):
    shifted = step.mean_ / step.scale_
    return extract_columns._arithmetic(step, columns, [("div", step.scale_), ("sub", shifted)])


@pytest.mark.parametrize("broken", [_without_mean, _in_another_order])
def test_a_fault_in_a_scaler_is_seen(broken, attempt, monkeypatch):
    monkeypatch.setattr(extract_columns, "standard_scaler", broken)
    assert "differs from the estimator" in attempt("scaled")["reason"]


@pytest.mark.thorough
def test_an_encoder_that_is_one_category_off_is_seen(attempt, monkeypatch):
    whole = extract_columns.one_hot_encoder

    def shifted(step, columns):
        items = whole(step, columns).items
        return Columns((*items[1:], items[0]), sparse=bool(step.sparse_output))

    monkeypatch.setattr(extract_columns, "one_hot_encoder", shifted)
    assert "differs from the estimator" in attempt("sparse")["reason"]


def test_a_matrix_that_lies_otherwise_in_memory_is_seen(attempt, monkeypatch):
    """BLAS adds in another order; nothing but the last bits tells."""
    monkeypatch.setattr(sealer, "_with_layout", lambda _original, recipe, _examples: recipe)
    assert "differs from the estimator" in attempt("by column")["reason"]
    monkeypatch.undo()
    assert "reason" not in attempt("by column")


def test_a_product_without_blas_is_seen(attempt, monkeypatch):
    def product(program, kernel):
        weights = np.frombuffer(program.array("weights"))
        bias = np.frombuffer(program.array("bias"))

        def run(rows):
            features = np.frombuffer(kernel.scores(rows)).reshape(-1, len(weights))
            return np.cumsum(features * weights, axis=1)[:, -1:] + bias

        return run

    monkeypatch.setattr(opened, "_product", product)
    assert "differs from the estimator" in attempt("scaled")["reason"]


@pytest.mark.thorough
def test_a_softmax_over_a_matrix_that_lies_otherwise_is_seen(attempt, monkeypatch):
    whole = extract_boosting.boosted_answer
    monkeypatch.setattr(
        extract_boosting,
        "boosted_answer",
        lambda labels, method, _order, *, at_zero: whole(labels, method, "C", at_zero=at_zero),
    )
    assert "differs from the estimator" in attempt("classes")["reason"]


def test_a_forgotten_baseline_is_seen(attempt, monkeypatch):
    whole = extract_boosting.TreeModel
    monkeypatch.setattr(
        extract_boosting, "TreeModel", lambda trees, start, **options: whole(trees, start * 0, **options)
    )
    assert "differs from the estimator" in attempt("boosting")["reason"]


def test_an_estimator_that_answers_at_random_is_seen(data, tmp_path, monkeypatch):
    estimator = RandomForestClassifier(5, random_state=0).fit(data.x, data.three)
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        RandomForestClassifier, "predict_proba", lambda _self, rows: rng.random((len(rows), 3)), raising=True
    )
    assert "estimator" in seal(estimator, "predict_proba", data.x[:50], tmp_path)["reason"]


def test_the_reason_names_the_row_at_which_the_estimator_fails(data, tmp_path):
    def build(rows):
        if np.isnan(rows).any():
            raise TypeError("no such type")
        return rows

    estimator = HistGradientBoostingClassifier(max_iter=5).fit(data.missing, data.binary)
    reason = seal(estimator, "predict", data.missing[:50], tmp_path, build)["reason"]
    assert "the estimator fails with TypeError: no such type" in reason
    assert "=missing" in reason


def test_the_reason_names_the_cell_that_only_the_sealed_form_refuses(data, tmp_path):
    estimator = RandomForestClassifier(5, random_state=0).fit(data.x, data.three)
    reason = seal(estimator, "predict", data.x[:50], tmp_path, lambda rows: np.clip(rows, -9, 9))["reason"]
    assert "the estimator answers a row that the sealed form refuses (column " in reason
    assert " wants " in reason


# ---- the comparison itself


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (np.array([0.0]), [-0.0]),
        (np.array([1.0]), [1]),
        (np.array([1]), [True]),
        (np.array(["a"]), ["b"]),
        (np.array([1.0, 2.0]), [1.0]),
        (np.array([[1.0, 2.0]]), [[1.0]]),
        (np.array([[1.0]]), [1.0]),
        (np.array([1.0]), [np.nextafter(1.0, 2.0).item()]),
        (np.array([0.1], dtype=np.float32), [0.1]),
    ],
)
def test_the_comparison_sees_shapes_types_and_bits(expected, found):
    assert differences(expected, found) > 0


def test_the_comparison_takes_equal_rows_for_equal():
    assert differences(np.array([[1.0, -0.0]]), [[1.0, -0.0]]) == 0
    assert differences(np.array(["a", "b"]), ["a", "b"]) == 0
