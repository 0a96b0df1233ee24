"""The document form of a schema, and every rule by which rows are accepted or refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.errors import SpecError
from mlinfra.modelkit import Schema

BIG = 2**53


def schema(**columns: Any) -> Schema:
    return Schema.from_document({"inputs": columns})


def refused(column: dict[str, Any], value: Any) -> bool:
    """Whether one cell is refused, asked as an object and as an array, which must agree."""
    both = schema(x=column, y={"type": "string"})
    by_object = both.check([{"x": value, "y": "a"}])
    by_array = both.check([[value, "a"]])
    assert bool(by_object.problems) == bool(by_array.problems)
    return bool(by_object.problems)


def test_a_document_comes_back_as_it_was_without_defaults() -> None:
    document = {
        "inputs": {
            "age": {"type": "integer", "min": 18, "max": 120},
            "home": {"type": "category", "values": ["rent", 2, True], "nullable": True},
            "note": {"type": "string", "required": False},
        }
    }

    assert Schema.from_document(document).as_document() == document


def test_the_order_of_columns_makes_another_version() -> None:
    one = schema(a={"type": "number"}, b={"type": "number"})
    other = schema(b={"type": "number"}, a={"type": "number"})

    assert one.version != other.version
    assert one.version == schema(a={"type": "number"}, b={"type": "number"}).version


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"type": "float"}, "unknown type of column"),
        ({}, "unknown type of column"),
        ("number", "unknown type of column"),
        ({"type": "number", "values": [1]}, "has no 'values'"),
        ({"type": "string", "min": 1}, "has no 'min'"),
        ({"type": "number", "minimum": 1}, "has no 'minimum'"),
        ({"type": "number", "min": "1"}, "not a bound"),
        ({"type": "number", "min": math.nan}, "not a bound"),
        ({"type": "number", "max": math.inf}, "not a bound"),
        ({"type": "number", "min": True}, "not a bound"),
        ({"type": "integer", "max": 2**60}, "not a bound"),
        ({"type": "number", "min": 2, "max": 1}, "min is above max"),
        ({"type": "category"}, "a category lists its values"),
        ({"type": "category", "values": []}, "a category lists its values"),
        ({"type": "category", "values": ["a", None]}, "not the value of a category"),
        ({"type": "category", "values": ["a", "a"]}, "listed twice"),
        ({"type": "number", "nullable": "yes"}, "not a truth value"),
    ],
)
def test_a_wrong_column_is_named(column: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        schema(x=column)

    assert all(problem.path.startswith("schema.inputs.x") for problem in caught.value.problems)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"inputs": {}}, {"inputs": []}, {"columns": {}}, {"inputs": {"a": 1}, "b": 1}]
)
def test_what_is_no_schema_is_refused(document: Any) -> None:
    with pytest.raises(SpecError):
        Schema.from_document(document)


def test_all_problems_of_a_document_come_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        schema(a={"type": "float"}, b={"type": "number", "min": "x"}, c={"type": "category"})

    assert [problem.path for problem in caught.value.problems] == [
        "schema.inputs.a",
        "schema.inputs.b.min",
        "schema.inputs.c.values",
    ]


NUMBER, INTEGER = {"type": "number"}, {"type": "integer"}
RANGE = {"type": "number", "min": 0, "max": 10}
AGE = {"type": "integer", "min": 18, "max": 120}
HOME = {"type": "category", "values": ["rent", "owner"]}
MIXED = {"type": "category", "values": [1, "1", True]}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (NUMBER, 1), (NUMBER, 1.5), (NUMBER, -0.0), (NUMBER, BIG), (NUMBER, -BIG), (NUMBER, 1e300), (NUMBER, 5e-324),
        (NUMBER, np.float64(1.5)), (NUMBER, np.int64(3)), (NUMBER, np.float32(1.5)),
        (INTEGER, 1), (INTEGER, 3.0), (INTEGER, -0.0), (INTEGER, BIG), (INTEGER, np.int64(3)),
        (RANGE, 0), (RANGE, 10), (RANGE, 10.0), (AGE, 18), (AGE, 120), (AGE, 120.0),
        (HOME, "rent"), (MIXED, 1), (MIXED, "1"), (MIXED, True), (MIXED, 1.0),
        ({"type": "string"}, ""), ({"type": "string"}, "é"), ({"type": "boolean"}, True),
        ({"type": "boolean"}, np.bool_(0)),
    ],
)  # fmt: skip
def test_a_right_cell_is_accepted(column: dict[str, Any], value: Any) -> None:
    assert not refused(column, value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (NUMBER, "1"), (NUMBER, True), (NUMBER, None), (NUMBER, math.nan), (NUMBER, math.inf), (NUMBER, -math.inf),
        (NUMBER, BIG + 1), (NUMBER, -BIG - 1), (NUMBER, 10**400), (NUMBER, [1]), (NUMBER, {"a": 1}),
        (NUMBER, np.bool_(1)),
        (INTEGER, 1.5), (INTEGER, True), (INTEGER, "1"), (INTEGER, 1e20), (INTEGER, BIG + 1), (INTEGER, math.inf),
        (RANGE, -0.001), (RANGE, 10.001), (RANGE, -1), (RANGE, 11), (AGE, 17), (AGE, 121), (AGE, 770), (AGE, 18.5),
        (HOME, "Rent"), (HOME, ""), (HOME, 1), (HOME, None), (HOME, ["rent"]), (MIXED, 2), (MIXED, False),
        (MIXED, "True"),
        ({"type": "string"}, 1), ({"type": "string"}, None), ({"type": "string"}, b"a"),
        ({"type": "boolean"}, 1), ({"type": "boolean"}, "true"), ({"type": "boolean"}, None),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_refused(column: dict[str, Any], value: Any) -> None:
    assert refused(column, value)


@pytest.mark.parametrize("kind", [NUMBER, INTEGER, RANGE, AGE, HOME, {"type": "string"}, {"type": "boolean"}])
@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_cell_is_accepted_only_where_nullable(kind: dict[str, Any], missing: Any) -> None:
    assert refused(kind, missing)
    assert not refused({**kind, "nullable": True}, missing)
    assert schema(x={**kind, "nullable": True}).check([[missing]]).rows == [[None]]


def test_infinity_is_refused_even_where_nullable() -> None:
    assert refused({"type": "number", "nullable": True}, math.inf)


def test_an_absent_column_is_missing_only_where_not_required() -> None:
    optional = schema(a=NUMBER, b={"type": "number", "required": False})

    assert optional.check([{"a": 1}]).rows == [[1, None]]
    assert optional.check([{"a": 1, "b": None}]).problems
    (problem,) = optional.check([{"b": 1}]).problems
    assert problem == {"row": 0, "column": "a", "value": None, "allowed": problem["allowed"]}
    assert "the column is missing" in problem["allowed"]


def test_an_unknown_column_is_refused_with_the_nearest_known() -> None:
    (problem,) = schema(income=NUMBER).check([{"income": 1, "incmoe": 2}]).problems

    assert (problem["row"], problem["column"], problem["value"]) == (0, "incmoe", 2)
    assert "did you mean 'income'" in problem["allowed"]


@pytest.mark.parametrize("row", [[1], [1, 2, 3], [], "ab", 7, None, True, [[1, 2]]])
def test_what_is_no_row_is_refused_whole(row: Any) -> None:
    checked = schema(a=NUMBER, b=NUMBER).check([[1, 2], row])

    assert [(problem["row"], problem["column"]) for problem in checked.problems] == [(1, None)]


def test_every_bad_cell_is_named_with_what_is_allowed() -> None:
    checked = schema(age=AGE, home=HOME).check([{"age": 770, "home": "rent"}, {"age": 30, "home": "tent"}, [17, 1]])

    assert checked.problems == [
        {"row": 0, "column": "age", "value": 770, "allowed": "an integer from 18 to 120"},
        {"row": 1, "column": "home", "value": "tent", "allowed": "one of rent, owner"},
        {"row": 2, "column": "age", "value": 17, "allowed": "an integer from 18 to 120"},
        {"row": 2, "column": "home", "value": 1, "allowed": "one of rent, owner"},
    ]


def test_objects_are_put_into_the_order_of_the_schema() -> None:
    checked = schema(a=NUMBER, b={"type": "string"}).check([{"b": "x", "a": 1}, [2.5, "y"]])

    assert checked.rows == [[1, "x"], [2.5, "y"]]


def test_a_whole_float_in_an_integer_column_comes_back_as_an_integer() -> None:
    (row,) = schema(a=INTEGER).check([[3.0]]).rows

    assert row == [3]
    assert type(row[0]) is int


def test_a_float_beyond_2_53_leaves_the_check_unsure() -> None:
    assert schema(a=NUMBER).check([[1e20]]).unsure
    assert not schema(a=NUMBER).check([[1.5]]).unsure


def test_refused_values_can_be_written_as_json() -> None:
    values = [math.nan, math.inf, 10**400, "x" * 10_000, object(), {"a": {"b": [1]}}, 2**60]
    problems = schema(a=AGE).check([[value] for value in values]).problems

    assert len(problems) == len(values)
    assert len(json.dumps(problems, allow_nan=False)) < 5000


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(),
    st.sampled_from(["rent", "owner", "", "7"]),
    st.lists(st.integers(), max_size=2),
)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 2**60, -(2**60)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_odd_number_is_found_wherever_it_stands(odd: float, place: int) -> None:
    row: list[float] = [1.0, 2.0, 3.0]
    row[place] = odd

    assert [problem["column"] for problem in schema(a=NUMBER, b=NUMBER, c=NUMBER).check([row]).problems] == [
        "abc"[place]
    ]


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=4))
def test_the_quick_check_and_the_exact_one_agree(rows: list[tuple[Any, ...]]) -> None:
    mixed = schema(age=AGE, rate=NUMBER, home=HOME, known={"type": "boolean", "nullable": True})
    checked = mixed.check(rows)
    exact: list[dict[str, Any]] = []
    values = [mixed.checker._exact(number, list(row), exact) for number, row in enumerate(rows)]

    assert checked.problems == exact
    if not exact:
        assert repr(checked.rows) == repr(values)
