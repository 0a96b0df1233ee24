"""The Open Inference Protocol v2, in JSON and with raw bytes."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

URL = "/v2/models/numbers/infer"
VALUES = [1.0, 0.5, -0.5, 0.0, -1.0, 0.5, -0.5, 0.0]


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "input", "shape": [2, 4], "datatype": "FP64", "data": VALUES, **changes}


def infer(server: Any, *inputs: Any, url: str = URL, **others: Any) -> Any:
    return server.post({"inputs": list(inputs), **others}, url)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": [VALUES[:4], VALUES[4:]]},
        {"datatype": "FP32"},
        {"name": "anything"},
        {"datatype": "INT64", "data": [1, 0, 0, 0, -1, 0, 0, 0]},
        {"parameters": {"content_type": "np"}},
    ],
)
def test_a_table_is_predicted(numbers: Any, changes: dict[str, Any]) -> None:
    answer = infer(numbers, tensor(**changes), id="a1")

    assert answer.status == 200
    assert answer.json == {
        "model_name": "numbers",
        "model_version": "1",
        "id": "a1",
        "outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [1, 0]}],
    }


def test_a_version_may_be_named(numbers: Any) -> None:
    assert infer(numbers, tensor(), url="/v2/models/numbers/versions/1/infer").status == 200


def test_columns_come_by_name_in_any_order(applicants: Any) -> None:
    columns = [
        {"name": "home", "shape": [2], "datatype": "BYTES", "data": ["rent", "owner"]},
        {"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [[60], [20]]},
        {"name": "income", "shape": [2], "datatype": "FP64", "data": [1500.5, None]},
        {"name": "married", "shape": [2], "datatype": "BOOL", "data": [True, False]},
    ]
    answer = infer(applicants, *columns, url="/v2/models/applicants/infer")

    (output,) = answer.json["outputs"]
    assert output == {"name": "predict", "shape": [2], "datatype": "BYTES", "data": ["good", "bad"]}


def test_probabilities_have_two_dimensions(chances: Any) -> None:
    (output,) = infer(chances, tensor(), url="/v2/models/chances/infer").json["outputs"]

    assert (output["name"], output["shape"], output["datatype"]) == ("predict_proba", [2, 2], "FP64")
    flat = chances.predict([VALUES[:4], VALUES[4:]])
    assert output["data"] == [cell for row in flat for cell in row]


def binary(server: Any, raw: bytes, head: dict[str, Any], url: str, length: int | None = None) -> Any:
    text = json.dumps(head).encode()
    declared = str(len(text) if length is None else length)
    return server.post(text + raw, url, inference_header_content_length=declared)


def test_raw_bytes_in_and_out(numbers: Any) -> None:
    raw = struct.pack("<8d", *VALUES)
    item = {"name": "input", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    wanted = [{"name": "predict", "parameters": {"binary_data": True}}]
    answer = binary(numbers, raw, {"inputs": [item], "outputs": wanted}, URL)

    assert answer.headers["content-type"] == "application/octet-stream"
    cut = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:cut])["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}
    assert struct.unpack("<2q", answer.body[cut:]) == (1, 0)


def test_raw_texts_in_and_out(applicants: Any) -> None:
    homes = b"".join(struct.pack("<I", len(text)) + text for text in (b"rent", b"owner"))
    ages, incomes = struct.pack("<2i", 60, 20), struct.pack("<2f", 1.5, float("nan"))
    inputs = [
        {"name": "home", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(homes)}},
        {"name": "age", "shape": [2], "datatype": "INT32", "parameters": {"binary_data_size": len(ages)}},
        {"name": "income", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": len(incomes)}},
    ]
    head = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    answer = binary(applicants, homes + ages + incomes, head, "/v2/models/applicants/infer")

    cut = int(answer.headers["inference-header-content-length"])
    assert answer.body[cut:] == b"\x04\0\0\0good\x03\0\0\0bad"


def test_metadata_describes_server_and_model(numbers: Any, applicants: Any) -> None:
    assert numbers.get("/v2").json["extensions"] == ["binary_tensor_data"]
    assert numbers.get("/v2/models/numbers").json == {
        "name": "numbers",
        "versions": ["1"],
        "platform": "mlinfra_sklearn",
        "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [-1]}],
    }
    inputs = applicants.get("/v2/models/applicants/versions/1").json["inputs"]
    assert [(item["name"], item["datatype"]) for item in inputs] == [
        ("age", "INT64"),
        ("income", "FP64"),
        ("home", "BYTES"),
        ("married", "BOOL"),
    ]


def test_a_refused_cell_is_named_beside_a_plain_error(applicants: Any) -> None:
    columns = [
        {"name": "age", "shape": [1], "datatype": "INT64", "data": [770]},
        {"name": "income", "shape": [1], "datatype": "FP64", "data": [1]},
        {"name": "home", "shape": [1], "datatype": "BYTES", "data": ["rent"]},
    ]
    answer = infer(applicants, *columns, url="/v2/models/applicants/infer")

    assert answer.status == 400
    assert answer.json["code"] == "InputRejected"
    assert isinstance(answer.json["error"], str)
    assert [(cell["row"], cell["column"]) for cell in answer.json["rows"]] == [(0, "age")]


BAD: dict[str, Any] = {
    "no inputs": {},
    "inputs null": {"inputs": None},
    "inputs empty": {"inputs": []},
    "inputs text": {"inputs": "x"},
    "input text": {"inputs": ["x"]},
    "no name": {"inputs": [{"shape": [1, 4], "datatype": "FP64", "data": VALUES[:4]}]},
    "no shape": {"inputs": [{"name": "a", "datatype": "FP64", "data": VALUES[:4]}]},
    "empty shape": {"inputs": [tensor(shape=[])]},
    "shape of text": {"inputs": [tensor(shape=["2", 4])]},
    "shape of booleans": {"inputs": [tensor(shape=[True, 8])]},
    "negative shape": {"inputs": [tensor(shape=[-2, -4])]},
    "huge shape": {"inputs": [tensor(shape=[2**40, 2**40])]},
    "shape too small": {"inputs": [tensor(shape=[1, 4])]},
    "shape of other width": {"inputs": [tensor(shape=[4, 2])]},
    "one dimension": {"inputs": [tensor(shape=[8])]},
    "three dimensions": {"inputs": [tensor(shape=[1, 2, 4])]},
    "no datatype": {"inputs": [{"name": "a", "shape": [2, 4], "data": VALUES}]},
    "unknown datatype": {"inputs": [tensor(datatype="FP128")]},
    "no data": {"inputs": [{"name": "a", "shape": [2, 4], "datatype": "FP64"}]},
    "data text": {"inputs": [tensor(data="x")]},
    "ragged data": {"inputs": [tensor(data=[VALUES[:5], VALUES[5:]])]},
    "text in data": {"inputs": [tensor(data=["1", *VALUES[1:]])]},
    "null in data": {"inputs": [tensor(data=[None, *VALUES[1:]])]},
    "array in data": {"inputs": [tensor(data=[[1], *VALUES[1:]])]},
    "huge integer": {"inputs": [tensor(data=[2**70, *VALUES[1:]])]},
    "unknown column": {"inputs": [tensor(name="x9", shape=[8])]},
    "column twice": {"inputs": [tensor(name="x0", shape=[8]), tensor(name="x0", shape=[8])]},
    "columns of other lengths": {"inputs": [tensor(name="x0", shape=[8]), tensor(name="x1", shape=[1], data=[1])]},
    "unknown output": {"inputs": [tensor()], "outputs": [{"name": "other"}]},
    "outputs text": {"inputs": [tensor()], "outputs": "predict"},
    "parameters text": {"inputs": [tensor()], "parameters": "x"},
    "binary size without bytes": {"inputs": [tensor(parameters={"binary_data_size": 64})]},
    "binary size negative": {"inputs": [tensor(parameters={"binary_data_size": -1})]},
    "binary size text": {"inputs": [tensor(parameters={"binary_data_size": "64"})]},
    "not an object": [1, 2],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tensors_are_refused_with_a_reason(numbers: Any, name: str) -> None:
    answer = numbers.post(BAD[name], URL)

    assert answer.status == 400
    assert isinstance(answer.json["error"], str)
    assert infer(numbers, tensor()).status == 200


@pytest.mark.parametrize("length", ["-1", "x", "99999", "1.5", ""])
def test_a_wrong_header_length_is_refused(numbers: Any, length: str) -> None:
    answer = numbers.post({"inputs": [tensor()]}, URL, inference_header_content_length=length)

    assert answer.status == 400


@pytest.mark.parametrize("raw", [b"", b"\0" * 63, b"\0" * 65, b"\0" * 128])
def test_a_wrong_number_of_bytes_is_refused(numbers: Any, raw: bytes) -> None:
    item = {"name": "input", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": 64}}

    assert binary(numbers, raw, {"inputs": [item]}, URL).status == 400


@pytest.mark.parametrize(
    "raw", [b"", b"\x04\0\0\0ren", b"\xff\xff\xff\xffrent", b"\x04\0\0\0rent\x01\0\0\0a", b"\x01\0\0\0\xff", b"\0\0"]
)
def test_wrong_raw_texts_are_refused(applicants: Any, raw: bytes) -> None:
    item = {"name": "home", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}

    assert binary(applicants, raw, {"inputs": [item]}, "/v2/models/applicants/infer").status == 400
