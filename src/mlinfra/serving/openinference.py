"""The Open Inference Protocol v2: tensors in and out, as JSON or with raw bytes after it.

A tensor of shape [rows, columns] holds the columns in schema order; otherwise each tensor is one column, by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.errors import shorten
from mlinfra.serving import tensors
from mlinfra.serving.decode import parse_json, parse_strictly
from mlinfra.serving.messages import BINARY, Response, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.modelkit import Column, Manifest
    from mlinfra.serving.exchange import Exchange
    from mlinfra.serving.messages import Request
    from mlinfra.serving.models import Model

_LENGTH = b"inference-header-content-length"
_COLUMN_TYPES = {"integer": "INT64", "number": "FP64", "boolean": "BOOL", "string": "BYTES", "category": "BYTES"}
_TABLE = 2  # dimensions of a tensor that holds rows


@dataclass(frozen=True)
class Tensor:
    """One input: its values flat, in row-major order."""

    name: str
    shape: tuple[int, ...]
    values: list[Any]


def answer(exchange: Exchange) -> None:
    """Read the tensors, predict, write the outputs; raises Refusal."""
    request, model = exchange.request, exchange.model
    document, binary = _split(request, parse_json)
    as_bytes = _wants_bytes(document, model.manifest.method)
    checked = model.check(_rows(_inputs(document, binary), model))
    if checked.unsure:
        document, binary = _split(request, parse_strictly)
        checked = model.check(_rows(_inputs(document, binary), model))
    exchange.rows = rows = model.accept(checked)
    exchange.predictions = predictions = model.predict(rows)
    exchange.response = _response(model, document, predictions, as_bytes=as_bytes)


def metadata(model: Model) -> dict[str, Any]:
    """What `/v2/models/{name}` says."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": f"mlinfra_{model.manifest.format}",
        "inputs": _input_metadata(model.manifest),
        "outputs": [_output_metadata(model.manifest)],
    }


def _split(request: Request, parse: Callable[[bytes], Any]) -> tuple[dict[str, Any], bytes]:
    """The JSON part and the raw bytes after it."""
    body, length = request.body, request.headers.get(_LENGTH)
    binary = b""
    if length is not None:
        if not length.isdigit() or int(length) > len(body):
            raise bad_request("inference-header-content-length is no length inside the body")
        body, binary = body[: int(length)], body[int(length) :]
    document = parse(body)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list) or not document["inputs"]:
        raise bad_request('the body has no "inputs": [{"name", "shape", "datatype", "data"}]', "MalformedBody")
    return document, binary


def _inputs(document: dict[str, Any], binary: bytes) -> list[Tensor]:
    found = []
    for item in document["inputs"]:
        name, datatype, shape, size = _described(item)
        count = math.prod(shape)
        if size is None:
            values = tensors.flatten(item.get("data"), count, name)
        else:
            if size > len(binary):
                raise bad_request(f"input {name}: the body ends before its {size} bytes", "MalformedBody")
            values, binary = tensors.from_bytes(binary[:size], datatype, count, name), binary[size:]
        found.append(Tensor(name, shape, values))
    if binary:
        raise bad_request(f"{len(binary)} bytes belong to no input", "MalformedBody")
    return found


def _described(item: Any) -> tuple[str, str, tuple[int, ...], int | None]:
    """Name, datatype, shape and binary size of an input."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise bad_request("an input has no name", "MalformedBody")
    name, shape, datatype = item["name"], item.get("shape"), item.get("datatype")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise bad_request(f"input {shorten(name)}: shape is no array of sizes", "MalformedBody")
    if not isinstance(datatype, str) or datatype not in tensors.DATATYPES:
        allowed = ", ".join(tensors.DATATYPES)
        raise bad_request(f"input {shorten(name)}: datatype is none of {allowed}", "MalformedBody")
    size = _parameter(item, "binary_data_size", default=None)
    if size is not None and (type(size) is not int or size < 0):
        raise bad_request(f"input {shorten(name)}: binary_data_size is no size", "MalformedBody")
    return name, datatype, tuple(shape), size


def _rows(inputs: list[Tensor], model: Model) -> list[Any]:
    schema = model.manifest.schema
    names = schema.names if schema else ()
    only = inputs[0]
    if len(inputs) == 1 and len(only.shape) == _TABLE and (only.name not in names or only.shape[1] == len(names)):
        width = only.shape[1]
        return [only.values[start : start + width] for start in range(0, len(only.values), width)] if width else []
    if len({item.name for item in inputs}) < len(inputs):
        raise bad_request("two inputs have the same name", "DuplicateKey")
    count = inputs[0].shape[0]
    for item in inputs:
        if item.shape not in ((count,), (count, 1)):
            raise bad_request(f"input {shorten(item.name)}: a column has the shape [{count}] or [{count}, 1]")
    return [{item.name: item.values[row] for item in inputs} for row in range(count)]


def _wants_bytes(document: dict[str, Any], method: str) -> bool:
    """Whether the output is wanted as raw bytes; refuses outputs that there are not."""
    outputs = document.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise bad_request("outputs is no array of objects", "MalformedBody")
    for item in outputs:
        if item.get("name") != method:
            raise bad_request(f"the model's one output is {method}", "UnknownOutput")
    everything = _parameter(document, "binary_data_output", default=False)
    return bool(_parameter(outputs[0], "binary_data", default=everything) if outputs else everything)


def _parameter(item: dict[str, Any], name: str, *, default: Any) -> Any:
    parameters = item.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise bad_request("parameters is no object", "MalformedBody")
    return parameters.get(name, default)


def _response(model: Model, document: dict[str, Any], predictions: list[Any], *, as_bytes: bool) -> Response:
    nested = bool(predictions) and isinstance(predictions[0], list)
    shape = [len(predictions), len(predictions[0])] if nested else [len(predictions)]
    values = list(chain.from_iterable(predictions)) if nested else predictions
    datatype = tensors.datatype_of(values)
    output: dict[str, Any] = {"name": model.manifest.method, "shape": shape, "datatype": datatype}
    answer: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": [output]}
    if isinstance(document.get("id"), str):
        answer["id"] = document["id"]
    if not as_bytes:
        output["data"] = values
        return Response(200, orjson.dumps(answer))
    raw = tensors.to_bytes(values, datatype)
    output["parameters"] = {"binary_data_size": len(raw)}
    head = orjson.dumps(answer)
    return Response(200, head + raw, BINARY, headers=b"%b: %d\r\n" % (_LENGTH, len(head)))


def _input_metadata(manifest: Manifest) -> list[dict[str, Any]]:
    columns: tuple[Column, ...] = manifest.schema.columns if manifest.schema else ()
    if not columns:
        return [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}]
    if all(column.type in ("integer", "number") for column in columns):
        return [{"name": "input", "datatype": "FP64", "shape": [-1, len(columns)]}]
    return [{"name": column.name, "datatype": _COLUMN_TYPES[column.type], "shape": [-1]} for column in columns]


def _output_metadata(manifest: Manifest) -> dict[str, Any]:
    predictions = (manifest.example or {}).get("predictions") or [0.0]
    nested = isinstance(predictions[0], list)
    values = list(chain.from_iterable(predictions)) if nested else predictions
    shape = [-1, len(predictions[0])] if nested else [-1]
    return {"name": manifest.method, "datatype": tensors.datatype_of(values), "shape": shape}
