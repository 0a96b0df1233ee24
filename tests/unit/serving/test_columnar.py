"""numpy and Arrow bodies: the same answers as JSON, and nothing of a hostile one gets further than its refusal."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlinfra.serving import columnar
from mlinfra.serving.messages import Refusal

NPY, ARROW = "application/x-npy", "application/vnd.apache.arrow.stream"
ROWS = np.random.default_rng(5).normal(size=(200, 4))
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def arrow(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return stream.getvalue()


def table(array: Any) -> pa.Table:
    return pa.table({f"x{index}": array[:, index] for index in range(array.shape[1])})


def read_arrow(content: bytes) -> list[Any]:
    return pa.ipc.open_stream(content).read_all()["predictions"].to_pylist()


@pytest.mark.parametrize(
    "array",
    [
        ROWS,
        np.asfortranarray(ROWS),
        ROWS.astype(">f8"),
        ROWS[:1],
        ROWS.astype("float32"),
        ROWS.astype("float16"),
        (ROWS * 10).astype("int64"),
        (ROWS * 10).astype("int8"),
        np.abs(ROWS * 10).astype("uint64"),
    ],
    ids=lambda array: f"{array.dtype}{array.flags['F_CONTIGUOUS']}{len(array)}",
)
def test_an_array_is_predicted_as_its_json_is(chances: Any, array: Any):
    expected = chances.predict(array.tolist())
    assert chances.post(npy(array), content_type=NPY).json["predictions"] == expected
    assert chances.post(arrow(table(array.astype(array.dtype.newbyteorder("=")))), content_type=ARROW).json == {
        "predictions": expected
    }


def test_answers_come_in_both_forms(chances: Any, numbers: Any, applicants: Any):
    expected = chances.predict(ROWS.tolist())
    answer = chances.post(npy(ROWS), content_type=NPY, accept=NPY)
    assert answer.headers["content-type"] == NPY
    assert np.load(io.BytesIO(answer.body)).tolist() == expected
    answer = chances.post(npy(ROWS), content_type=NPY, accept=ARROW)
    assert (answer.headers["content-type"], read_arrow(answer.body)) == (ARROW, expected)
    labels = np.load(io.BytesIO(numbers.post(npy(ROWS), content_type=NPY, accept=NPY).body))
    assert labels.dtype.kind == "i"
    row = {"age": 60, "income": 1500.5, "home": "rent"}
    for accept, read in ((NPY, lambda body: np.load(io.BytesIO(body)).tolist()), (ARROW, read_arrow)):
        assert read(applicants.post({"instances": [row]}, accept=accept).body) == ["good"]


def test_predictions_that_make_no_array_are_not_acceptable_as_one(odd: Any):
    body = {"instances": [{"want": "number"}, {"want": "list"}, {"want": "text"}]}
    for accept in (NPY, ARROW):
        assert odd.post(body, accept=accept).status == 406
    for accept in (NPY, ARROW):
        assert odd.post({"instances": [{"want": "nan"}]}, accept=accept).status == 200


def test_columns_come_by_name_with_their_types(applicants: Any):
    frame = pa.table(
        {
            "home": pa.array(["rent", None, "owner"]).dictionary_encode(),
            "income": pa.array([1500.5, None, 3000.0]),
            "age": pa.array([60, 20, 33], pa.int32()),
            "married": pa.array([True, None, False]),
        }
    )
    rows = frame.to_pylist()
    assert applicants.post(arrow(frame), content_type=ARROW).json["predictions"] == applicants.predict(rows)
    kinds = [("age", "i4"), ("income", "f8"), ("home", "U5"), ("married", "?")]
    records = np.array([(60, 1500.5, "rent", True), (20, 2.0, "owner", False)], dtype=kinds)
    as_objects = [dict(zip(records.dtype.names, row, strict=True)) for row in records.tolist()]
    assert applicants.post(npy(records), content_type=NPY).json["predictions"] == applicants.predict(as_objects)


@pytest.mark.parametrize(
    ("value", "column"), [(np.nan, "x1"), (np.inf, "x1"), (101.0, "x1"), (-1e300, "x1"), (2.0**60, "x1")]
)
def test_a_cell_that_the_schema_refuses_is_named(chances: Any, value: float, column: str):
    array = ROWS[:5].copy()
    array[3, 1] = value
    for answer in (
        chances.post(npy(array), content_type=NPY),
        chances.post(arrow(table(array)), content_type=ARROW),
    ):
        assert answer.status == 400
        assert [(cell["row"], cell["column"]) for cell in answer.json["error"]["rows"]] == [(3, column)]


def test_null_in_arrow_is_missing(chances: Any):
    frame = table(ROWS[:3]).set_column(2, "x2", pa.array([1.0, None, 2.0]))
    answer = chances.post(arrow(frame), content_type=ARROW)
    assert [(cell["row"], cell["column"]) for cell in answer.json["error"]["rows"]] == [(1, "x2")]


def header(text: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    raw = text.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(raw)) + raw + content


HOSTILE_NPY = {
    "empty": b"",
    "magic": b"\x93NUMPY",
    "other": b"PK\x03\x04" + bytes(100),
    "json": b'{"instances": []}',
    "pickle": pickle.dumps([1]),
    "object": npy(np.array([[{}]], dtype=object), allow_pickle=True),
    "version": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4)}", bytes(32), b"\x09\x00"),
    "cut": npy(ROWS)[:-1],
    "longer": npy(ROWS) + b"\0",
    "huge": header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 4)}", bytes(32)),
    "negative": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -4)}", bytes(32)),
    "overflow": header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"),
    "nothing": header("{'descr': '<U0', 'fortran_order': False, 'shape': (999999999, 4)}"),
    "code": header("__import__('os').system('true')", bytes(32)),
    "nested": header("(" * 5000 + ")" * 5000, bytes(32)),
    "long": header("{" + "1" * 60000 + "}"),
    "keys": header("{'descr': '<f8', 'shape': (1, 4)}", bytes(32)),
    "text": header("{'descr': '<f8', 'fortran_order': False, 'shape': 'a'}", bytes(32)),
    "unknown": header("{'descr': 'bogus', 'fortran_order': False, 'shape': (1, 4)}", bytes(32)),
    "complex": npy(ROWS.astype("complex128")),
    "wide": npy(ROWS.astype("longdouble")),
    "dates": npy(np.zeros((1, 4), "datetime64[s]")),
    "bytes": npy(np.zeros((1, 4), "S3")),
    "flat": npy(ROWS[0]),
    "cube": npy(ROWS.reshape(50, 4, 4)),
    "scalar": npy(np.float64(1)),
    "inner": npy(np.zeros(2, dtype=[("x0", "f8", (2,)), ("x1", "f8")])),
    "narrow": npy(ROWS[:, :3]),
    "booleans": npy(ROWS > 0),
    "strings": npy(ROWS.astype("U5")),
}
BIG = pa.table({f"x{index}": np.zeros(100_000) for index in range(4)})
HOSTILE_ARROW = {
    "empty": b"",
    "noise": bytes(range(256)) * 4,
    "length": b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "cut": arrow(table(ROWS))[:-200],
    "schema": arrow(table(ROWS))[:150],
    "zstd": arrow(BIG, compression="zstd"),
    "lz4": arrow(BIG, compression="lz4"),
    "twice": arrow(pa.table([[1.0], [2.0]], names=["x0", "x0"])),
    "columnless": arrow(pa.table({})),
    "nulls": arrow(pa.table({"x0": pa.nulls(10)})),
    "lists": arrow(pa.table({"x0": [[1.0]]})),
    "dates": arrow(pa.table({"x0": pa.array([1], pa.timestamp("s"))})),
    "runs": arrow(pa.table({"x0": pa.RunEndEncodedArray.from_arrays([10**9], [1.0])})),
    "strangers": arrow(pa.table({"y": [1.0]})),
    "file": b"ARROW1\0\0" + arrow(table(ROWS)),
}


@pytest.mark.parametrize("name", HOSTILE_NPY)
def test_a_hostile_array_is_refused(chances: Any, name: str):
    answer = chances.post(HOSTILE_NPY[name], content_type=NPY)
    assert answer.status == 400, answer.body
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("name", HOSTILE_ARROW)
def test_a_hostile_stream_is_refused(chances: Any, name: str):
    answer = chances.post(HOSTILE_ARROW[name], content_type=ARROW)
    assert answer.status == 400, answer.body
    assert answer.json["error"]["message"]


class Anything:
    """A model that takes whatever can be read."""

    matrix = None

    class manifest:  # noqa: N801  as the attribute is called
        schema = None

    def check(self, rows: Any) -> Any:
        return rows

    def accept(self, rows: Any) -> Any:
        return rows


SMALL_NPY = npy(ROWS[:3])
SMALL_ARROW = arrow(pa.table({"a": [1.0, None], "b": ["x", "yy"], "c": pa.array(["p", "q"]).dictionary_encode()}))


@SETTINGS
@given(st.data())
@pytest.mark.parametrize(("whole", "read"), [(SMALL_NPY, columnar.npy_rows), (SMALL_ARROW, columnar.arrow_rows)])
def test_a_damaged_body_is_read_or_refused(whole: bytes, read: Any, data: st.DataObject):
    body = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    model: Any = Anything()
    with contextlib.suppress(Refusal):
        json.dumps(read(bytes(body), model), default=str)
