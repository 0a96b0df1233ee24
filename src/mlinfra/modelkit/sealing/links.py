"""Scores to probabilities in plain Python, with the C library's exp; what the compiled walk does in C.

Each library has its own rounding: scikit-learn and LightGBM compute in float64, XGBoost in float32.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST = 88.7  # beyond it XGBoost cuts off, before expf overflows


def pairs(scores: list[float]) -> list[float]:
    """The probabilities of two classes, as scipy's expit and LightGBM have them."""
    second = 1.0 / (1.0 + _exp(-scores[0]))
    return [1.0 - second, second]


def softmax(scores: list[float]) -> list[float]:
    """LightGBM's: added from the left. scikit-learn's is numpy's."""
    most = max(scores)
    powers = [_exp(score - most) for score in scores]
    total = 0.0
    for power in powers:
        total += power
    return [power / total for power in powers]


def float_pairs(scores: list[float]) -> list[float]:
    """The probabilities of two classes, as XGBoost has them."""
    power = _float_exp(min(-scores[0], _float(_LARGEST)))
    second = _float(1.0 / _float(_float(power + 1.0) + _float(1e-16)))
    return [_float(1.0 - second), second]


def float_softmax(scores: list[float]) -> list[float]:
    """XGBoost's: float32, but for the sum."""
    most = max(scores)
    powers = [_float_exp(_float(score - most)) for score in scores]
    total = 0.0
    for power in powers:
        total += power
    return [_float(power / _float(total)) for power in powers]


LINKS: dict[str, Callable[[list[float]], list[float]]] = {
    "pairs": pairs,
    "softmax": softmax,
    "float_pairs": float_pairs,
    "float_softmax": float_softmax,
}


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _float(value: float) -> float:
    """Rounded to float32."""
    return ctypes.c_float(value).value


@lru_cache(maxsize=1)
def _library_expf() -> Callable[[float], float] | None:
    name = ctypes.util.find_library("m")
    if name is None:
        return None
    expf = ctypes.CDLL(name).expf
    expf.argtypes, expf.restype = [ctypes.c_float], ctypes.c_float
    return lambda value: float(expf(value))


def _float_exp(value: float) -> float:
    """The C library's expf; without it the rounded exp, which is nearly always the same."""
    expf = _library_expf()
    return expf(value) if expf else _float(_exp(value))
