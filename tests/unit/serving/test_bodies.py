"""Bodies in every accepted form, answers in every offered one, and the exact refusal of every bad row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

GOOD = {"age": 60, "income": 2000.5, "home": "rent", "married": True}
BAD = {"age": 20, "income": 2000, "home": "rent", "married": True}
ROW = [60, 2000.5, "rent", True]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [GOOD, BAD]},
        {"instances": [ROW, BAD]},
        {"inputs": [GOOD, BAD]},
        [GOOD, BAD],
        [ROW, [20, 2000, "rent", True]],
        {"dataframe_records": [GOOD, BAD]},
        {"dataframe_split": {"columns": ["home", "income", "age"], "data": [["rent", 1.5, 60], ["rent", 2, 20]]}},
        {
            "dataframe_split": {
                "columns": ["home", "income", "age"],
                "index": [0, 1],
                "data": [["rent", 1, 60], ["rent", 2, 20]],
            }
        },
        {"input_data": {"columns": ["home", "income", "age"], "data": [["rent", 1.5, 60], ["rent", 2, 20]]}},
        {"input_data": [ROW, BAD]},
        {"columns": ["home", "income", "age"], "data": [["rent", 1.5, 60], ["rent", 2, 20]]},
        {"data": [ROW, BAD]},
        {"instances": [GOOD, BAD], "parameters": {}},
        {"instances": [{"age": 60, "income": None, "home": None}, BAD]},
        {"instances": [{"age": 60.0, "income": 1e300, "home": "other"}, BAD]},
    ],
)
def test_rows_come_in_many_forms(applicants: Any, body: Any) -> None:
    assert applicants.post(body).json == {"predictions": ["good", "bad"]}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"instances":[{"age":60,"income":1,"home":"rent"}]}'),
        ("application/json; charset=utf-8", b'{"instances":[{"age":60,"income":1,"home":"rent"}]}'),
        ("application/x-www-form-urlencoded", b'{"instances":[{"age":60,"income":1,"home":"rent"}]}'),
        ("application/octet-stream", b'{"instances":[{"age":60,"income":1,"home":"rent"}]}'),
        ("application/json", b'\xef\xbb\xbf{"instances":[{"age":60,"income":1,"home":"rent"}]}'),
        ("application/jsonlines", b'{"age":60,"income":1,"home":"rent"}\n'),
        ("application/x-ndjson", b'\n{"age":60,"income":1,"home":"rent"}\r\n\n'),
        ("text/csv", b"age,income,home,married\n60,1.5,rent,true\n"),
        ("text/csv", b"home,age,income\nrent,60,\n"),
        ("text/csv", b"60,1.5,rent,\n"),
        ("text/csv", b'"60","1.5","rent","TRUE"\r\n'),
        ("text/csv; header=absent", b"60,1.5,rent,false"),
        ("text/csv; header=present", b"home,age,income\nrent,60.0,1e3\n"),
        ("text/csv; charset=utf-8", b"\xef\xbb\xbfage,income,home\n60,1,rent\n"),
    ],
)
def test_content_types(applicants: Any, content_type: str, body: bytes) -> None:
    answer = applicants.post(body, content_type=content_type)

    assert (answer.status, answer.body) == (200, b'{"predictions":["good"]}')


@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("", "application/json", b'{"predictions":["good","bad"]}'),
        ("*/*", "application/json", b'{"predictions":["good","bad"]}'),
        ("application/json", "application/json", b'{"predictions":["good","bad"]}'),
        ("text/html, application/json;q=0.9", "application/json", b'{"predictions":["good","bad"]}'),
        ("application/jsonlines", "application/jsonlines", b'"good"\n"bad"\n'),
        ("text/csv", "text/csv", b"good\nbad\n"),
        ("application/json;q=0.1, text/csv;q=0.8", "text/csv", b"good\nbad\n"),
        ("TEXT/CSV", "text/csv", b"good\nbad\n"),
    ],
)
def test_answers_come_as_accepted(applicants: Any, accept: str, content_type: str, body: bytes) -> None:
    answer = applicants.post({"instances": [GOOD, BAD]}, accept=accept)

    assert (answer.status, answer.headers["content-type"], answer.body) == (200, content_type, body)


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "application/json;q=x"])
def test_what_is_not_offered_is_406(applicants: Any, accept: str) -> None:
    assert applicants.post({"instances": [GOOD]}, accept=accept).status == 406


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("content_type", "application/xml"),
        ("content_type", "application/json; charset=utf-16"),
        ("content_type", "multipart/form-data"),
        ("content_encoding", "gzip"),
    ],
)
def test_what_cannot_be_read_is_415(applicants: Any, header: str, value: str) -> None:
    assert applicants.post({"instances": [GOOD]}, **{header: value}).status == 415


def test_nan_and_infinity_are_null_in_answers(odd: Any) -> None:
    rows = [["nan"], ["infinity"], ["number"], ["list"], ["text"]]

    assert odd.post({"instances": rows}).body == b'{"predictions":[null,null,1.5,[1,null],"a,b"]}'
    assert odd.post({"instances": rows}, accept="text/csv").body == b'""\n""\n1.5\n1,\n"a,b"\n'
    assert odd.post({"instances": rows}, accept="application/jsonlines").body == b'null\nnull\n1.5\n[1,null]\n"a,b"\n'


def test_no_rows_have_no_predictions(applicants: Any) -> None:
    assert applicants.post({"instances": []}).json == {"predictions": []}


def test_probabilities_are_a_list_per_row(chances: Any) -> None:
    (pair,) = chances.predict([[0.1, 0.2, 0.3, 0.4]])

    assert sum(pair) == pytest.approx(1)


@pytest.mark.parametrize("want", ["error", "short", "object"])
def test_a_fault_of_the_model_is_500_and_the_server_goes_on(odd: Any, want: str) -> None:
    answer = odd.post({"instances": [["number"], [want]]})

    assert (answer.status, answer.json["error"]["code"]) == (500, "ModelFailed")
    assert b"as asked" not in answer.body
    assert odd.predict([["number"]]) == [1.5]


def test_every_bad_cell_is_named(applicants: Any) -> None:
    rows = [GOOD, {**GOOD, "age": 770}, {**GOOD, "income": "lots", "home": "tent"}, {"income": 1, "home": "rent"}]
    answer = applicants.post({"instances": rows})

    assert answer.status == 400
    error = answer.json["error"]
    assert error["code"] == "InputRejected"
    assert error["message"].startswith("row 1, column age")
    assert error["rows"] == [
        {"row": 1, "column": "age", "value": 770, "allowed": "an integer from 18 to 120"},
        {"row": 2, "column": "income", "value": "lots", "allowed": "a number of at least 0 or null"},
        {"row": 2, "column": "home", "value": "tent", "allowed": "one of rent, owner, other or null"},
        {"row": 3, "column": "age", "value": None, "allowed": "an integer from 18 to 120; the column is missing"},
    ]


BAD_CELLS = {
    "text in a number": {"age": "60"},
    "number in a text": {"home": 1},
    "boolean in an integer": {"age": True},
    "integer in a boolean": {"married": 1},
    "fraction in an integer": {"age": 60.5},
    "above": {"age": 121},
    "below": {"income": -0.01},
    "missing": {"age": None},
    "array": {"age": [60]},
    "object": {"age": {"value": 60}},
    "stranger": {"agee": 60},
    "huge integer": {"age": 10**30},
    "integer beyond exact floats": {"income": 2**53 + 1},
    "integer beyond 64 bits": {"income": 10**19},
    "integer of a hundred digits": {"income": int("9" * 100)},
}


@pytest.mark.parametrize("name", BAD_CELLS)
@pytest.mark.parametrize("form", ["instances", "lines"])
def test_a_bad_cell_is_refused_in_every_form(applicants: Any, name: str, form: str) -> None:
    row = json.dumps({**GOOD, **BAD_CELLS[name]}).encode()
    if form == "lines":
        answer = applicants.post(row, content_type="application/jsonlines")
    else:
        answer = applicants.post(b'{"instances":[%b]}' % row)

    assert (answer.status, answer.json["error"]["code"]) == (400, "InputRejected")
    assert [cell["column"] for cell in answer.json["error"]["rows"]] == list(BAD_CELLS[name])


BAD_CSV = {
    "text in a number": b"60,lots,rent,true",
    "fraction": b"60.5,1,rent,true",
    "python number": b"60,1_000,rent,true",
    "hexadecimal": b"60,0x10,rent,true",
    "nan": b"60,nan,rent,true",
    "infinity": b"60,inf,rent,true",
    "category": b"60,1,tent,true",
    "boolean": b"60,1,rent,yes",
    "short": b"60,1,rent",
    "long": b"60,1,rent,true,more",
    "long with header": b"age,income,home\n60,1,rent,true",
    "stranger": b"age,income,home,married,shoe\n60,1,rent,true,43",
    "quotes": b'60,1,"rent"x,true',
    "open quote": b'60,1,"rent',
    "header twice": b"age,age,home\n60,1,rent",
    "not utf-8": b"60,1,r\xff,true",
    "nul": b"60,1,re\x00nt,true",
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv_is_refused_with_a_reason(applicants: Any, name: str) -> None:
    answer = applicants.post(BAD_CSV[name], content_type="text/csv")

    assert answer.status == 400
    assert answer.json["error"]["message"]


BAD_JSON = {
    "empty": b"",
    "blank": b"  ",
    "open": b'{"instances":[[1,2,3,4]',
    "trailing comma": b'{"instances":[[1,2,3,4],]}',
    "two documents": b'{"instances":[]} {}',
    "single quotes": b"{'instances':[]}",
    "comment": b'{"instances":[]} // rows',
    "NaN": b'{"instances":[[NaN,2,3,4]]}',
    "Infinity": b'{"instances":[[Infinity,2,3,4]]}',
    "minus Infinity": b'{"instances":[[-Infinity,2,3,4]]}',
    "nan": b'{"instances":[[nan,2,3,4]]}',
    "NaN in quotes": b'{"instances":[["NaN",2,3,4]]}',
    "number out of range": b'{"instances":[[1e400,2,3,4]]}',
    "leading zero": b'{"instances":[[012,2,3,4]]}',
    "plus sign": b'{"instances":[[+1,2,3,4]]}',
    "hexadecimal": b'{"instances":[[0x10,2,3,4]]}',
    "lone dot": b'{"instances":[[.5,2,3,4]]}',
    "true spelled True": b'{"instances":[[True,2,3,4]]}',
    "nesting": b"[" * 100_000 + b"]" * 100_000,
    "nesting of 2000": b'{"instances":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "nesting in a cell": b'{"instances":[[' + b"[" * 500 + b"]" * 500 + b",2,3,4]]}",
    "objects nested": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "not utf-8": b'{"instances":[["\xff",2,3,4]]}',
    "lone surrogate": b'{"instances":[["\\ud800",2,3,4]]}',
    "control character": b'{"instances":[["\x01",2,3,4]]}',
    "utf-16": '{"instances":[[1,2,3,4]]}'.encode("utf-16"),
    "binary": bytes(range(256)),
    "null": b"null",
    "true": b"true",
    "number": b"7",
    "text": b'"instances"',
    "empty object": b"{}",
    "unknown key": b'{"rows":[[1,2,3,4]]}',
    "two forms": b'{"instances":[[1,2,3,4]],"inputs":[]}',
    "stranger beside": b'{"instances":[[1,2,3,4]],"debug":true}',
    "parameters": b'{"instances":[[1,2,3,4]],"parameters":{"k":1}}',
    "instances twice": b'{"instances":[[1,2,3,4]],"instances":[[9,9,9,9]]}',
    "instances twice, once escaped": b'{"instances":[[1,2,3,4]],"\\u0069nstances":[[9,9,9,9]]}',
    "column twice": b'{"instances":[{"x0":1,"x1":2,"x2":3,"x3":4,"x0":9}]}',
    "column twice in a later row": b'{"instances":[[1,2,3,4],{"x0":1,"x1":2,"x2":3,"x3":4,"x3":9}]}',
    "instances null": b'{"instances":null}',
    "instances text": b'{"instances":"[[1,2,3,4]]"}',
    "instances object": b'{"instances":{"x0":1,"x1":2,"x2":3,"x3":4}}',
    "flat": b'{"instances":[1,2,3,4]}',
    "three-dimensional": b'{"instances":[[[1,2,3,4]]]}',
    "ragged": b'{"instances":[[1,2,3],[4,5,6,7,8]]}',
    "short": b'{"instances":[[1,2,3]]}',
    "long": b'{"instances":[[1,2,3,4,5]]}',
    "empty row": b'{"instances":[[]]}',
    "null row": b'{"instances":[null]}',
    "null cell": b'{"instances":[[null,2,3,4]]}',
    "text cell": b'{"instances":[["1",2,3,4]]}',
    "boolean cell": b'{"instances":[[true,2,3,4]]}',
    "array cell": b'{"instances":[[[1],2,3,4]]}',
    "2^53 + 1": b'{"instances":[[9007199254740993,2,3,4]]}',
    "2^64": b'{"instances":[[18446744073709551616,2,3,4]]}',
    "thousand digits": b'{"instances":[[' + b"9" * 1000 + b",2,3,4]]}",
    "ten thousand digits": b'{"instances":[[' + b"9" * 10_000 + b",2,3,4]]}",
    "split without data": b'{"dataframe_split":{"columns":["x0"]}}',
    "split ragged": b'{"dataframe_split":{"columns":["x0","x1","x2","x3"],"data":[[1,2,3]]}}',
    "split columns twice": b'{"dataframe_split":{"columns":["x0","x0","x2","x3"],"data":[[1,2,3,4]]}}',
    "split columns of numbers": b'{"dataframe_split":{"columns":[0,1,2,3],"data":[[1,2,3,4]]}}',
    "split text": b'{"dataframe_split":"x"}',
    "records object": b'{"dataframe_records":{}}',
    "split stranger": b'{"dataframe_split":{"columns":["x0"],"data":[],"dtype":"f"}}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused_with_a_reason_and_the_server_goes_on(numbers: Any, name: str) -> None:
    answer = numbers.post(BAD_JSON[name])

    assert answer.status == 400
    assert answer.json["error"]["message"]
    assert answer.json["error"]["code"] in ("MalformedBody", "DuplicateKey", "InputRejected")
    assert len(answer.body) < 4000
    assert numbers.predict([[1, 0, 0, 0]]) == [1]


@pytest.mark.parametrize("name", [name for name in BAD_JSON if "instances" in BAD_JSON[name].decode("latin-1")])
def test_bad_rows_are_refused_in_large_bodies_too(numbers: Any, name: str) -> None:
    body = BAD_JSON[name].replace(b'"instances":[', b'"instances":[' + b"[1.25,2.5,3.75,4.5]," * 1000, 1)

    assert numbers.post(body).status == 400


def test_a_large_body_is_answered_as_its_rows_one_by_one(chances: Any) -> None:
    rows = [[index / 7, -index / 3, 0.25, 1 - index / 11] for index in range(250)]
    together = chances.predict(rows)

    assert len(json.dumps(rows)) > 8192
    np.testing.assert_allclose(together, [chances.predict([row])[0] for row in rows], rtol=1e-12)


@pytest.mark.parametrize("cell", [100.001, -101, 10**17, None, "a", True, [1.0]])
def test_one_bad_cell_in_a_large_body_is_named(chances: Any, cell: Any) -> None:
    rows: list[list[Any]] = [[1.5, 2.5, 3.5, 4.5] for _ in range(1000)]
    rows[617][2] = cell
    answer = chances.post({"instances": rows})

    assert answer.status == 400
    assert [(found["row"], found["column"]) for found in answer.json["error"]["rows"]] == [(617, "x2")]


def test_refusals_of_a_huge_body_stay_small(numbers: Any) -> None:
    answer = numbers.post(b'{"instances":[' + b",".join([b"[]"] * 200_000) + b"]}")

    assert answer.status == 400
    assert len(answer.json["error"]["rows"]) == 1000
    assert "999 more at least" in answer.json["error"]["message"]
