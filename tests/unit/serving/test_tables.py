"""Numbers that are read straight into a table answer as the same numbers read the exact way."""

import json
import random
from types import SimpleNamespace

import pytest

from mlinfra.modelkit import Schema
from mlinfra.serving.rows import MatrixCheck

SPELLINGS = ["1", "-0", "0.25", "1e-5", "-3.5E1", "0.30000000000000004", "12345678901234567e-16", "5e-324"]


@pytest.mark.parametrize("rows", [1, 2, 7, 500])
def test_a_table_is_answered_as_the_same_rows_in_a_form_that_is_read_the_exact_way(chances, rows):
    rng = random.Random(rows)  # noqa: S311  the same numbers each time, no secrets
    cells = [
        [rng.choice(SPELLINGS) if rng.random() < 0.3 else repr(rng.gauss(0, 1)) for _ in range(4)] for _ in range(rows)
    ]
    text = ",".join(f"[{','.join(row)}]" for row in cells)
    table = chances.post(f'{{"instances":[{text}]}}'.encode())
    exact = chances.post(f'{{"instances":[{text}],"parameters":null}}'.encode())
    assert (table.status, exact.status) == (200, 200)
    assert table.body == exact.body


@pytest.mark.parametrize("cell", ["101", "-100.5", "null", '"1"', "true", "1e400", "9007199254740993", "[1]", "{}"])
@pytest.mark.parametrize("rows", [1, 300])
def test_one_wrong_cell_is_named_however_the_others_are_read(chances, cell, rows):
    text = ",".join(["[0.5,0.5,0.5,0.5]"] * (rows - 1) + [f"[0.5,{cell},0.5,0.5]"])
    answer = chances.post(f'{{"instances":[{text}]}}'.encode())
    assert answer.status == 400
    refused = answer.json["error"].get("rows")
    if refused is not None:
        assert [(one["row"], one["column"]) for one in refused] == [(rows - 1, "x1")]


def check_of(columns):
    schema = Schema.from_document({"inputs": {name: {"type": kind} for name, kind in columns.items()}})
    return MatrixCheck.of(SimpleNamespace(schema=schema, input={"form": "matrix"}))


def test_whole_numbers_of_a_small_body_are_kept_as_they_were_written():
    mixed = check_of({"a": "integer", "b": "number"})
    small, large = [[1, 2.5]], [[1, 2.5]] * 1000
    assert mixed.read(json.dumps({"instances": small}).encode()) is None
    assert mixed.read(json.dumps({"instances": large}).encode()).tolist() == large


def test_a_table_has_as_many_rows_as_the_body():
    numbers = check_of({"a": "number", "b": "number"})
    found = numbers.read(b'{"instances":[[1,2],[3,4],[5,6]]}')
    assert (found.shape, found.tolist()) == ((3, 2), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
