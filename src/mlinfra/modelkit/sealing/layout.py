"""The layout that program files, the compiled walk and the numpy walk share; `walk.c` holds the same numbers.

A change here is a new version of the format: raise FORMAT, and ABI in `walk.c`.
"""

from __future__ import annotations

from typing import Any

FORMAT = 1

# In the order in which the compiled walk takes them; with the size of one item in bytes.
ARRAYS = {
    "slots": 16,
    "ops": 32,
    "known": 8,
    "features": 32,
    "cuts": 8,
    "nodes": 8,
    "roots": 4,
    "bases": 4,
    "leaves": 8,
    "sets": 32,
    "start": 8,
    "coefficients": 8,
    "intercepts": 8,
}
# Read by numpy alone: the weights of a model that multiplies through BLAS.
MATRIX_ARRAYS = {"weights": 8, "bias": 8}

SLOT: list[tuple[str, str]] = [("column", "<u4"), ("table", "<i4"), ("missing", "<i4"), ("unknown", "<i4")]
OP: list[tuple[str, str]] = [
    ("code", "<u4"),
    ("first", "<u4"),
    ("count", "<u4"),
    ("reserved", "<u4"),
    ("a", "<f8"),
    ("b", "<f8"),
]
FEATURE: list[Any] = [
    ("slot", "<u4"),
    ("op_first", "<u4"),
    ("op_count", "<u4"),
    ("kind", "<u4"),
    ("cut_first", "<u4"),
    ("cut_count", "<u4"),
    ("reserved", "<u4", (2,)),
]
NODE: list[tuple[str, str]] = [("threshold", "<u4"), ("route", "<u4")]  # the threshold is a float32, kept as its bits

OPS = ("fill", "sub", "div", "mul", "add", "clip", "not_infinite", "equal", "replace", "lookup", "flush")
KINDS = ("double", "float", "rank")
FORMS = ("numbers", "cells")
FLAGS = {"refuse_missing": 1, "refuse_infinite": 2, "divide": 4, "scalar_only": 8, "float_sums": 16}

# How scores become predictions; done by the walk, with the C library's exp. A pair is the probabilities of two classes.
FINISHES = (
    "values",
    "labels",
    "labels_from_zero",
    "pairs",
    "rows",
    "pair_labels",
    "softmax",
    "softmax_labels",
    "float_pairs",
    "float_pair_labels",
    "float_softmax",
    "float_softmax_labels",
)
NUMPY_FINISHES = ("numpy_softmax", "numpy_exp")  # done by numpy, whose exp has bits of its own
SINGLE_SCORE = ("values", "pairs", "pair_labels", "float_pairs", "float_pair_labels", "numpy_exp")
EXACT = ("values", "labels", "labels_from_zero", "rows")  # need no exp at all

NUMBER, UNREAD = -1, -2  # in place of a table: a slot that holds a number, and one that no feature reads
REFUSE = -1  # in place of a code: the estimator would raise
LEAF_BITS = 0x7FC00000  # a quiet NaN; its low bits carry a number
PAYLOAD = 0x003FFFFF
DISTANCE = 0x000FFFFF
FEATURE_SHIFT = 20
MISSING_RIGHT = 1 << 31
MOST_FEATURES = 2048
SET_WORDS = 8  # of 32 categories each

# What the walk says of a cell that the estimator would refuse.
REFUSALS = {
    1: "a number, or a value that can be a category",
    2: "a value; the model does not take missing ones",
    3: "a finite number",
    4: "a number that float32 can hold, at most 3.4e38 in size",
    5: "a category that the model has seen",
    6: "a row with one cell for each column",
}
