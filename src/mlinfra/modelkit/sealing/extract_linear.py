"""Linear models of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.labels import labels_of
from mlinfra.modelkit.sealing.lazy import Lazy
from mlinfra.modelkit.sealing.recipe import Answer, Columns, Core, LinearModel, NotSealed

if TYPE_CHECKING:
    import numpy as np

    from mlinfra.modelkit.sealing.recipe import Floats
else:
    np = Lazy("numpy")

_BINARY = 2


def logistic(estimator: Any, method: str, columns: Columns) -> Core:
    """LogisticRegression: binary through the logistic function, more classes through softmax."""
    labels = labels_of(estimator)
    expected = 1 if len(labels) == _BINARY else len(labels)
    if estimator.coef_.shape != (expected, len(columns.items)):
        raise NotSealed("LogisticRegression has coefficients of an unknown shape")
    if len(labels) > _BINARY and estimator.solver == "liblinear":
        raise NotSealed("LogisticRegression has solver='liblinear', which trains one model a class")
    if method == "predict":
        answer = Answer("labels", labels)
    else:
        answer = Answer("pairs" if expected == 1 else "numpy_softmax", labels)
    return Core("logistic-regression", columns.features(), _model(estimator, columns), answer)


def regression(estimator: Any, method: str, columns: Columns) -> Core:
    """Least squares and its penalised kin, which predict alike."""
    del method  # a regressor has `predict` alone
    if estimator.coef_.shape != (len(columns.items),):
        raise NotSealed("more than one output is not sealed")
    return Core("linear-regression", columns.features(), _model(estimator, columns), Answer("values"))


def _model(estimator: Any, columns: Columns) -> LinearModel:
    model = LinearModel(_double(estimator.coef_).T, np.atleast_1d(_double(estimator.intercept_)), columns.sparse)
    if model.bias.shape not in ((1,), (model.outputs,)):
        raise NotSealed("an intercept of an unknown shape")
    if not (np.isfinite(model.weights).all() and np.isfinite(model.bias).all()):
        raise NotSealed("a coefficient is not finite")
    return model


def _double(values: Any) -> Floats:
    """As float64, which is what numpy multiplies float64 rows by; the order in memory is kept."""
    return np.array(values, dtype=np.float64, order="K")
