"""An estimator to a recipe: walks the pipeline from its columns to its model."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.allow import MODELS, STEPS, checked_versions, name_of, rule_for
from mlinfra.modelkit.sealing.recipe import Columns, Core, Feature, NotSealed, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

_PIPELINE = "sklearn.pipeline.Pipeline"
_COLUMN_TRANSFORMER = "sklearn.compose._column_transformer.ColumnTransformer"
_METHODS = ("predict", "predict_proba")


def extract(estimator: Any, method: str) -> Recipe:
    """The recipe of a fitted estimator for one method; raises NotSealed where anything about it is not known."""
    _check_method(estimator, method)
    steps, model = split(estimator)
    libraries = checked_versions([estimator, *steps, model])
    _check_settings()
    columns = Columns(tuple(Feature(index) for index in range(int(estimator.n_features_in_))))
    for step in steps:
        columns = transformed(step, columns)
    build = function_of(rule_for(model, MODELS).extract)
    recipe = replace(_recipe(build(model, method, columns), estimator, method, steps), libraries=libraries)
    _check_kinds(recipe)
    return recipe


def function_of(path: str) -> Callable[..., Any]:
    """The function that a rule names."""
    module, name = path.split(":")
    function: Callable[..., Any] = getattr(import_module(f"mlinfra.modelkit.sealing.{module}"), name)
    return function


def transformed(step: Any, columns: Columns) -> Columns:
    """What a fitted transformer makes of columns; raises NotSealed."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return columns
    result: Columns = function_of(rule_for(step, STEPS).extract)(step, columns)
    return result


def _check_method(estimator: Any, method: str) -> None:
    if method not in _METHODS:
        raise NotSealed(f"the method {method} is not sealed; {' and '.join(_METHODS)} are")
    if not hasattr(estimator, method):
        raise NotSealed(f"the estimator has no {method}")
    if method in vars(estimator):
        raise NotSealed(f"the estimator's {method} was replaced on the object itself")
    if not hasattr(estimator, "n_features_in_"):
        raise NotSealed("the estimator is not fitted, or not of scikit-learn")


def _check_settings() -> None:
    if import_module("sklearn").get_config()["transform_output"] != "default":
        raise NotSealed("scikit-learn is set to put out data frames (transform_output)")


def split(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers of a pipeline, outermost first, and its model; nothing and itself for a bare model."""
    if name_of(estimator) != _PIPELINE:
        return [], estimator
    rule_for(estimator, STEPS)
    steps = [step for _, step in estimator.steps]
    if name_of(steps[-1]) == _PIPELINE:
        inner, model = split(steps[-1])
        return [*steps[:-1], *inner], model
    return steps[:-1], steps[-1]


def _recipe(core: Core, estimator: Any, method: str, steps: list[Any]) -> Recipe:
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    recipe = Recipe(core.kind, method, int(estimator.n_features_in_), core.features, core.model, core.answer, names)
    by_name = any(_picks_by_name(step) for step in steps)
    return replace(recipe, by_name=bool(names) and (by_name or recipe.form == "cells"))


def _picks_by_name(step: Any) -> bool:
    if name_of(step) != _COLUMN_TRANSFORMER:
        return False
    return any(_has_text(columns) for _, _, columns in step.transformers)


def _has_text(columns: Any) -> bool:
    if isinstance(columns, str) or callable(columns):  # a callable was given a data frame, and looked at its types
        return True
    if isinstance(columns, slice):
        return isinstance(columns.start, str) or isinstance(columns.stop, str)
    return any(isinstance(column, str) for column in columns)


def _check_kinds(recipe: Recipe) -> None:
    """A cell cannot be read as a number here and as a category there, nor can missing be NaN here and None there."""
    read_as: dict[int, str] = {}
    for feature in recipe.features:
        way = "a number" if feature.vocabulary is None else f"a category with {feature.vocabulary.marker} for missing"
        if read_as.setdefault(feature.column, way) != way:
            raise NotSealed(f"column {feature.column} is read both as {read_as[feature.column]} and as {way}")
