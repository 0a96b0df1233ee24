"""Which estimators may be sealed: exact types, the parameters that change a prediction, and the versions tested.

A loose list is wrong without any error, so whatever is not named here keeps its estimator, with the reason.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.modelkit.sealing.recipe import NotSealed

if TYPE_CHECKING:
    from collections.abc import Iterable

# By module: versions whose every kind went through the tests here with 0 differing bits.
VERSIONS = {
    "sklearn": ("1.9.1", "1.8.0", "1.7.2", "1.6.1", "1.5.2", "1.4.2"),
    "lightgbm": ("4.7.0",),
    "xgboost": ("3.2.0",),
}

_ONE_JOB = (
    "with several threads its trees are added in any order, so it has no single answer; set n_jobs=1 and save again"
)
_NO_INFREQUENT = "grouping of rare categories is not sealed"


class Need(NamedTuple):
    """A parameter and the values of it that were proved."""

    name: str
    values: tuple[Any, ...]
    why: str = "only the values named were proved"


class Rule(NamedTuple):
    """Which function takes the type apart, as module:function inside this package, and what it must be like."""

    extract: str
    needs: tuple[Need, ...] = ()


_FOREST = (Need("n_jobs", (None, 1), _ONE_JOB), Need("n_outputs_", (1,), "more than one output is not sealed"))
_TREE = (Need("n_outputs_", (1,), "more than one output is not sealed"),)
_ENCODER = (
    Need("min_frequency", (None,), _NO_INFREQUENT),
    Need("max_categories", (None,), _NO_INFREQUENT),
)

MODELS = {
    "sklearn.ensemble._forest.RandomForestClassifier": Rule("extract_trees:forest", _FOREST),
    "sklearn.ensemble._forest.RandomForestRegressor": Rule("extract_trees:forest", _FOREST),
    "sklearn.ensemble._forest.ExtraTreesClassifier": Rule("extract_trees:forest", _FOREST),
    "sklearn.ensemble._forest.ExtraTreesRegressor": Rule("extract_trees:forest", _FOREST),
    "sklearn.tree._classes.DecisionTreeClassifier": Rule("extract_trees:single_tree", _TREE),
    "sklearn.tree._classes.DecisionTreeRegressor": Rule("extract_trees:single_tree", _TREE),
    "sklearn.tree._classes.ExtraTreeClassifier": Rule("extract_trees:single_tree", _TREE),
    "sklearn.tree._classes.ExtraTreeRegressor": Rule("extract_trees:single_tree", _TREE),
    "sklearn.ensemble._gb.GradientBoostingClassifier": Rule(
        "extract_trees:gradient_boosting", (Need("loss", ("log_loss",)),)
    ),
    "sklearn.ensemble._gb.GradientBoostingRegressor": Rule("extract_trees:gradient_boosting"),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier": Rule(
        "extract_boosting:hist_gradient_boosting", (Need("loss", ("log_loss",)),)
    ),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor": Rule(
        "extract_boosting:hist_gradient_boosting",
        (Need("loss", ("squared_error", "absolute_error", "quantile", "poisson", "gamma")),),
    ),
    "lightgbm.sklearn.LGBMClassifier": Rule("extract_lightgbm:boosting"),
    "lightgbm.sklearn.LGBMRegressor": Rule("extract_lightgbm:boosting"),
    "xgboost.sklearn.XGBClassifier": Rule("extract_xgboost:boosting"),
    "xgboost.sklearn.XGBRegressor": Rule("extract_xgboost:boosting"),
    "sklearn.linear_model._logistic.LogisticRegression": Rule(
        "extract_linear:logistic",
        (Need("multi_class", ("deprecated", "auto"), "one model a class, or softmax for two, is not sealed"),),
    ),
    "sklearn.linear_model._base.LinearRegression": Rule("extract_linear:regression"),
    "sklearn.linear_model._ridge.Ridge": Rule("extract_linear:regression"),
    "sklearn.linear_model._coordinate_descent.Lasso": Rule("extract_linear:regression"),
    "sklearn.linear_model._coordinate_descent.ElasticNet": Rule("extract_linear:regression"),
}

STEPS = {
    "sklearn.compose._column_transformer.ColumnTransformer": Rule(
        "extract_columns:column_transformer", (Need("transformer_weights", (None,)),)
    ),
    "sklearn.pipeline.Pipeline": Rule("extract_columns:pipeline", (Need("transform_input", (None,)),)),
    "sklearn.impute._base.SimpleImputer": Rule("extract_columns:imputer", (Need("add_indicator", (False,)),)),
    "sklearn.preprocessing._data.StandardScaler": Rule("extract_columns:standard_scaler"),
    "sklearn.preprocessing._data.MinMaxScaler": Rule("extract_columns:min_max_scaler"),
    "sklearn.preprocessing._encoders.OneHotEncoder": Rule(
        "extract_columns:one_hot_encoder",
        (*_ENCODER, Need("drop", (None,)), Need("handle_unknown", ("error", "ignore"))),
    ),
    "sklearn.preprocessing._encoders.OrdinalEncoder": Rule("extract_columns:ordinal_encoder", _ENCODER),
    "sklearn.preprocessing._function_transformer.FunctionTransformer": Rule(
        "extract_columns:passthrough", (Need("func", (None,), "a function of your own is not sealed"),)
    ),
}


def name_of(value: object) -> str:
    """The full name of a value's type, as the tables here spell it."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def rule_for(value: object, rules: dict[str, Rule]) -> Rule:
    """The rule of a value's exact type, its parameters checked; raises NotSealed."""
    name = name_of(value)
    rule = rules.get(name)
    kind = type(value)
    if rule is None or getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is not kind:
        raise NotSealed(f"{name} is not among the types that can be sealed")
    if vars(value).get("_sklearn_output_config", {}).get("transform") not in (None, "default"):
        raise NotSealed(f"{kind.__qualname__} was told to put out data frames (set_output)")
    for need in rule.needs:
        found = getattr(value, need.name, need.values[0])
        if not any(found is allowed or (type(found) is type(allowed) and found == allowed) for allowed in need.values):
            raise NotSealed(f"{kind.__qualname__} has {need.name}={found!r}: {need.why}")
    return rule


def checked_versions(parts: Iterable[object]) -> tuple[tuple[str, str], ...]:
    """The libraries that some objects are of, with their versions; raises NotSealed for one that was not tested."""
    found = {}
    for name in sorted({type(part).__module__.split(".")[0] for part in parts}):
        if name in VERSIONS:
            installed = str(getattr(sys.modules[name], "__version__", "of an unknown version"))
            if installed not in VERSIONS[name]:
                tested = ", ".join(VERSIONS[name])
                raise NotSealed(f"{name} {installed} is not among the versions tested ({tested})")
            found[name] = installed
    return tuple(found.items())
