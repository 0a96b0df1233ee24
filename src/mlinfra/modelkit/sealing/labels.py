"""The class labels that a classifier answers with, as JSON can hold them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlinfra.modelkit.sealing.recipe import NotSealed

if TYPE_CHECKING:
    from mlinfra.modelkit.sealing.recipe import Cell

_FEWEST = 2


def labels_of(estimator: Any) -> tuple[Cell, ...]:
    """The labels in the order of the scores; raises NotSealed for labels that JSON cannot hold."""
    labels: tuple[Cell, ...] = tuple(estimator.classes_.tolist())
    if len(labels) < _FEWEST:
        raise NotSealed("the classifier knows a single class")
    for label in labels:
        if not isinstance(label, (str, int, float)) or (isinstance(label, float) and not math.isfinite(label)):
            raise NotSealed(f"a class label is {label!r}: text, numbers and booleans are sealed")
    return labels
