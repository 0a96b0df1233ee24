"""Open Inference over gRPC: the same answers and the same refusals as over HTTP."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from mlinfra.serving.rpcmessages import SERVICE, message_classes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MESSAGES = message_classes()
VALUES = [1.0, 0.5, -0.5, 0.0, -1.0, 0.5, -0.5, 0.0]


class Client:
    """A plain client of the service."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, verb: str, **fields: Any) -> Any:
        method = self.channel.unary_unary(
            f"/{SERVICE}/{verb}",
            request_serializer=MESSAGES[f"{verb}Request"].SerializeToString,
            response_deserializer=MESSAGES[f"{verb}Response"].FromString,
        )
        return method(MESSAGES[f"{verb}Request"](**fields), timeout=20, wait_for_ready=True)

    def infer(self, name: str, *inputs: dict[str, Any], **fields: Any) -> Any:
        return self.call("ModelInfer", model_name=name, inputs=list(inputs), **fields)

    def refused(self, verb: str, **fields: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(verb, **fields)
        return caught.value.code().name, caught.value.details()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def served(start: Any, packages: Path) -> Iterator[tuple[Any, Client]]:
    port = free_port()
    with start(packages / "chances", "--grpc-port", str(port), "--name", "chances") as server:
        client = Client(port)
        yield server, client
        client.channel.close()


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "input", "datatype": "FP64", "shape": [2, 4], **changes}


def test_the_server_and_its_model_are_described(served: tuple[Any, Client]):
    server, client = served
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", name="chances").ready
    assert client.call("ModelReady", name="chances", version="1").ready
    assert not client.call("ModelReady", name="other").ready
    told = client.call("ServerMetadata")
    assert (told.name, list(told.extensions)) == ("mlinfra", ["binary_tensor_data"])
    model, over_http = client.call("ModelMetadata", name="chances"), server.get("/v2/models/chances").json
    assert (model.name, list(model.versions), model.platform) == ("chances", ["1"], over_http["platform"])
    assert [list(item.shape) for item in model.inputs] == [item["shape"] for item in over_http["inputs"]]


def test_raw_and_typed_contents_give_the_bits_that_http_gives(served: tuple[Any, Client]):
    server, client = served
    expected = [cell for row in server.predict([VALUES[:4], VALUES[4:]]) for cell in row]
    for answer in (
        client.infer("chances", tensor(contents={"fp64_contents": VALUES}), id="a1"),
        client.infer("chances", tensor(), raw_input_contents=[struct.pack("<8d", *VALUES)], id="a1"),
        client.infer("chances", tensor(datatype="FP32", contents={"fp32_contents": VALUES}), id="a1"),
    ):
        (output,) = answer.outputs
        assert (answer.model_name, answer.model_version, answer.id) == ("chances", "1", "a1")
        assert (output.name, output.datatype, list(output.shape)) == ("predict_proba", "FP64", [2, 2])
        assert list(struct.unpack("<4d", answer.raw_output_contents[0])) == expected


def test_columns_and_strings(start: Any, packages: Path):
    port = free_port()
    with start(packages / "applicants", "--grpc-port", str(port), "--name", "applicants") as server:
        client = Client(port)
        columns = [
            {"name": "home", "shape": [2], "datatype": "BYTES", "contents": {"bytes_contents": [b"rent", b"owner"]}},
            {"name": "age", "shape": [2], "datatype": "INT32", "contents": {"int_contents": [60, 20]}},
            {"name": "income", "shape": [2], "datatype": "FP64", "contents": {"fp64_contents": [1500.5, float("nan")]}},
            {"name": "married", "shape": [2], "datatype": "BOOL", "contents": {"bool_contents": [True, False]}},
        ]
        (output,) = client.infer("applicants", *columns).outputs
        assert (output.name, output.datatype, list(output.shape)) == ("predict", "BYTES", [2])
        assert client.infer("applicants", *columns).raw_output_contents[0] == b"\x04\0\0\0good\x03\0\0\0bad"
        client.channel.close()
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("fields", "code", "word"),
    [
        ({"model_name": "other"}, "NOT_FOUND", "nothing is served"),
        ({"inputs": []}, "INVALID_ARGUMENT", "inputs"),
        ({"inputs": [tensor(contents={"fp64_contents": VALUES[:3]})]}, "INVALID_ARGUMENT", "24 bytes"),
        ({"inputs": [tensor(datatype="FP17")]}, "INVALID_ARGUMENT", "FP17"),
        (
            {"inputs": [tensor(datatype="INT8", contents={"int_contents": [300] * 8})]},
            "INVALID_ARGUMENT",
            "a value is no INT8",
        ),
        ({"inputs": [tensor()], "raw_input_contents": [b"", b""]}, "INVALID_ARGUMENT", "raw"),
        ({"inputs": [tensor()], "raw_input_contents": [b"123"]}, "INVALID_ARGUMENT", "3 bytes"),
        ({"inputs": [tensor(shape=[-1, 4])], "raw_input_contents": [b""]}, "INVALID_ARGUMENT", "shape"),
        (
            {"inputs": [tensor(contents={"fp64_contents": [*VALUES[:7], 101.0]})]},
            "INVALID_ARGUMENT",
            '"row":1,"column":"x3"',
        ),
        ({"inputs": [tensor()], "outputs": [{"name": "y"}]}, "INVALID_ARGUMENT", "predict_proba"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    served: tuple[Any, Client], fields: dict[str, Any], code: str, word: str
):
    found, details = served[1].refused("ModelInfer", **{"model_name": "chances", **fields})
    assert found == code
    assert word in details


def test_a_message_beyond_the_limit_is_refused(served: tuple[Any, Client]):
    _, client = served
    code, _ = client.refused("ModelInfer", model_name="chances", raw_input_contents=[bytes(11 << 20)])
    assert code == "RESOURCE_EXHAUSTED"
    assert client.call("ServerLive").live


def test_slow_models_are_awaited_and_excess_is_shed(start: Any, packages: Path):
    port = free_port()
    column = {"name": "seconds", "shape": [1], "datatype": "FP64", "contents": {"fp64_contents": [0.2]}}
    with start(packages / "slow", "--grpc-port", str(port), "--name", "slow", "--queue-length", "2") as server:
        client = Client(port)
        assert client.infer("slow", column).outputs[0].name == "predict"
        found: list[str] = []

        def ask() -> None:
            try:
                client.infer("slow", column)
                found.append("OK")
            except grpc.RpcError as exc:
                found.append(exc.code().name)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == {"OK", "UNAVAILABLE"}
        client.channel.close()
        assert server.stop() == 0


def test_many_models_are_loaded_asked_and_unloaded(start: Any, packages: Path, tmp_path: Path):
    port = free_port()
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "chances").symlink_to(packages / "chances")
    with start(None, "--models", str(tmp_path / "many"), "--grpc-port", str(port)):
        client = Client(port)
        assert [(item.name, item.state) for item in client.call("RepositoryIndex").models] == [
            ("chances", "UNAVAILABLE")
        ]
        assert client.infer("chances", tensor(contents={"fp64_contents": VALUES})).outputs[0].name == "predict_proba"
        assert [item.name for item in client.call("RepositoryIndex", ready=True).models] == ["chances"]
        client.call("RepositoryModelUnload", model_name="chances")
        assert client.refused("RepositoryModelUnload", model_name="chances")[0] == "NOT_FOUND"
        client.call("RepositoryModelLoad", model_name="chances")
        assert client.refused("RepositoryModelLoad", model_name="absent")[0] == "NOT_FOUND"
        client.channel.close()
