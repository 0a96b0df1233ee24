"""LightGBM and XGBoost, from models and answers that their libraries wrote (see record_boosters.py)."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlinfra.modelkit.sealing import allow, extract_lightgbm, extract_xgboost
from mlinfra.modelkit.sealing.kernel import open_kernel, open_numpy_kernel
from mlinfra.modelkit.sealing.opened import open_program
from mlinfra.modelkit.sealing.pack import pack
from mlinfra.modelkit.sealing.program import from_buffer, to_bytes
from mlinfra.modelkit.sealing.prove import differences
from mlinfra.modelkit.sealing.readback import check_nodes
from mlinfra.modelkit.sealing.recipe import Columns, Feature, NotSealed, Recipe

_RECORDED = Path(__file__).with_name("recorded")
_KERNELS = {"compiled": open_kernel, "scalar": partial(open_kernel, scalar_only=True), "numpy": open_numpy_kernel}


def _cases() -> dict[str, tuple[str, Any, str]]:
    cases = {}
    for library in ("lightgbm", "xgboost"):
        document = json.loads((_RECORDED / f"{library}.json").read_text())
        assert document["version"] in allow.VERSIONS[library]
        for number, case in enumerate(document["cases"]):
            for method in case["answers"]:
                cases[f"{library} {number} {method}"] = (library, case, method)
    return cases


_CASES = _cases()


def _unhexed(value: Any) -> Any:
    if isinstance(value, list):
        return [_unhexed(item) for item in value]
    return (
        float.fromhex(value) if isinstance(value, str) and value.lstrip("-").startswith(("0x", "inf", "nan")) else value
    )


def _wrapper(library: str, case: Any, text: str | None = None) -> Any:
    """What the extraction asks of an estimator, answered from the record."""
    text = case["text"] if text is None else text
    labels = {"classes_": np.array(case["labels"]), "n_classes_": len(case["labels"])} if case["labels"] else {}
    if library == "lightgbm":
        return SimpleNamespace(booster_=SimpleNamespace(model_to_string=lambda: text), **labels)
    booster = SimpleNamespace(save_raw=lambda _format: bytearray(text.encode()))
    return SimpleNamespace(get_booster=lambda: booster, missing=np.nan, early_stopping_rounds=None, **labels)


def _recipe(library: str, case: Any, method: str, text: str | None = None) -> Recipe:
    build = {"lightgbm": extract_lightgbm.boosting, "xgboost": extract_xgboost.boosting}[library]
    columns = Columns(tuple(Feature(index) for index in range(4)))
    core = build(_wrapper(library, case, text), method, columns)
    return Recipe(core.kind, method, 4, core.features, core.model, core.answer)


@pytest.mark.parametrize("kernel", _KERNELS)
@pytest.mark.parametrize("name", _CASES)
def test_recorded_answers_are_given_to_the_last_bit(name, kernel):
    library, case, method = _CASES[name]
    recipe = _recipe(library, case, method)
    program = from_buffer(to_bytes(pack(recipe)))
    check_nodes(recipe.model, program)
    model = open_program(program, _KERNELS[kernel])
    rows = np.array(_unhexed(case["rows"]))
    expected = np.array(_unhexed(case["answers"][method]))
    assert differences(expected, model.predict(rows)) == 0
    single = [model.predict(rows[at : at + 1])[0] for at in range(len(rows))]
    assert differences(expected, single) == 0


def test_the_record_holds_rows_that_tell_the_libraries_rules_apart():
    """Cells that LightGBM takes for zero change an answer; without that rule the record is not met."""
    library, case, method = _CASES["lightgbm 3 predict"]
    recipe = _recipe(library, case, method)
    plain = Recipe("x", method, 4, tuple(Feature(f.column) for f in recipe.features), recipe.model, recipe.answer)
    rows, expected = np.array(_unhexed(case["rows"])), np.array(_unhexed(case["answers"][method]))
    found = open_program(from_buffer(to_bytes(pack(plain)))).predict(rows)
    assert differences(expected, found) > 0


_LIGHTGBM_CHANGES = {
    "poisson": ("objective=binary sigmoid:1", "objective=poisson", "objective 'poisson'"),
    "another slope": ("objective=binary sigmoid:1", "objective=binary sigmoid:2", "sigmoid:2"),
    "a forest": ("objective=binary", "average_output\nobjective=binary", "random forest"),
    "categories": ("num_cat=0", "num_cat=1", "categories"),
    "linear leaves": ("is_linear=0", "is_linear=1", "linear leaves"),
}


@pytest.mark.parametrize("change", _LIGHTGBM_CHANGES)
def test_a_lightgbm_model_that_is_not_known_is_refused(change):
    old, new, reason = _LIGHTGBM_CHANGES[change]
    _, case, method = _CASES["lightgbm 0 predict_proba"]
    assert old in case["text"]
    with pytest.raises(NotSealed, match=reason):
        _recipe("lightgbm", case, method, case["text"].replace(old, new))


_XGBOOST_CHANGES = {
    "poisson": ('"name":"binary:logistic"', '"name":"count:poisson"', "count:poisson"),
    "another booster": ('"name":"gbtree"', '"name":"dart"', "dart"),
    "categories": ('"split_type":[0', '"split_type":[1', "categories"),
    "several outputs": ('"num_target":"1"', '"num_target":"2"', "more than one output"),
}


@pytest.mark.parametrize("change", _XGBOOST_CHANGES)
def test_an_xgboost_model_that_is_not_known_is_refused(change):
    old, new, reason = _XGBOOST_CHANGES[change]
    _, case, method = _CASES["xgboost 0 predict_proba"]
    assert old in case["text"]
    with pytest.raises(NotSealed, match=reason):
        _recipe("xgboost", case, method, case["text"].replace(old, new))


def test_another_missing_value_is_refused():
    _, case, method = _CASES["xgboost 0 predict"]
    wrapper = _wrapper("xgboost", case)
    wrapper.missing = -999.0
    with pytest.raises(NotSealed, match="missing=-999"):
        extract_xgboost.boosting(wrapper, method, Columns((Feature(0),)))


def test_trees_after_the_best_iteration_are_left_out():
    _, case, method = _CASES["xgboost 2 predict"]
    wrapper = _wrapper("xgboost", case)
    wrapper.early_stopping_rounds, wrapper.best_iteration = 3, 2
    core = extract_xgboost.boosting(wrapper, method, Columns(tuple(Feature(index) for index in range(4))))
    assert len(core.model.trees.roots) == 3


def test_sparse_columns_are_refused():
    for library, build in (("lightgbm", extract_lightgbm.boosting), ("xgboost", extract_xgboost.boosting)):
        _, case, method = _CASES[f"{library} 0 predict"]
        with pytest.raises(NotSealed, match="sparse"):
            build(_wrapper(library, case), method, Columns((Feature(0),), sparse=True))
