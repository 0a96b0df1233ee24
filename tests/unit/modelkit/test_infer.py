"""What a schema and a baseline are told from an example."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlinfra.errors import SpecError
from mlinfra.modelkit.infer import baseline, infer_schema, read_example


class Frame:
    """As much of a data frame as is read: columns, dtypes, one column as an array."""

    def __init__(self, **columns: np.ndarray) -> None:
        self._columns = columns
        self.columns = list(columns)
        self.dtypes = [column.dtype for column in columns.values()]

    def __getitem__(self, name: str) -> Any:
        return SimpleNamespace(to_numpy=lambda: self._columns[name])


def types(example: Any) -> dict[str, str]:
    return {column.name: column.type for column in infer_schema(read_example(example)).columns}


def test_a_data_frames_own_types_are_taken() -> None:
    frame = Frame(
        age=np.array([30, 40]),
        income=np.array([1.5, np.nan]),
        home=np.array(["rent", np.nan], dtype=object),
        owner=np.array([True, False]),
    )

    assert types(frame) == {"age": "integer", "income": "number", "home": "string", "owner": "boolean"}
    nullable = {column.name: column.nullable for column in infer_schema(read_example(frame)).columns}
    assert nullable == {"age": False, "income": True, "home": True, "owner": False}
    assert read_example(frame).nan_columns == ("income", "home")


def test_whole_numbers_in_an_array_or_a_list_promise_nothing() -> None:
    assert types(np.array([[1, 2], [3, 4]])) == {"x0": "number", "x1": "number"}
    assert types([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]) == {"a": "number", "b": "string"}
    assert types([[1, "x"], [2, "y"]]) == {"x0": "number", "x1": "string"}


def test_names_of_the_model_serve_an_example_without_names() -> None:
    assert read_example(np.ones((2, 2)), ["a", "b"]).names == ("a", "b")


def test_an_absent_key_is_a_missing_cell() -> None:
    schema = infer_schema(read_example([{"a": 1, "b": 2}, {"a": 1}]))

    assert [column.nullable for column in schema.columns] == [False, True]


def test_no_ranges_and_no_categories_are_declared() -> None:
    document = infer_schema(read_example([{"a": 1, "home": "rent"}])).as_document()

    assert document == {"inputs": {"a": {"type": "number"}, "home": {"type": "string"}}}


def test_the_baseline_holds_ranges_and_shares() -> None:
    table = read_example([{"a": 1, "home": "rent"}, {"a": 3, "home": None}, {"a": None, "home": "rent"}])
    found = baseline(table, infer_schema(table))

    assert found["a"] == {"min": 1, "max": 3, "mean": 2.0, "missing": pytest.approx(1 / 3)}
    assert found["home"] == {"values": {"rent": 1.0}, "missing": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    "example",
    [None, 7, "abc", [], [1, 2], [[1], [1, 2]], [[]], [{"a": 1}, [1]], np.ones(3), np.ones((2, 0)), np.ones((2, 2, 2))],
)
def test_what_is_no_table_is_refused(example: Any) -> None:
    with pytest.raises(SpecError):
        read_example(example)


@pytest.mark.parametrize("cells", [[1, "a"], [[1], [2]], [b"a", b"b"], [True, 1]])
def test_a_column_of_several_kinds_is_named(cells: list[Any]) -> None:
    with pytest.raises(SpecError) as caught:
        infer_schema(read_example([{"odd": cell} for cell in cells]))

    assert caught.value.problems[0].path == "odd"
