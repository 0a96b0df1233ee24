"""Triton's clients, unmodified: HTTP with JSON and with binary tensors, gRPC; single model and repository."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as rpc
from tritonclient import http
from tritonclient.utils import InferenceServerException

port, rpc_port, fleet_port, fleet_rpc_port, expected_file = sys.argv[1:]
expected = json.loads(Path(expected_file).read_text())
ROWS = np.array(expected["rows"])
WANTED = np.array(expected["predictions"])


def infer(client: Any, module: Any, name: str, **binary: Any) -> None:
    item = module.InferInput("input", list(ROWS.shape), "FP64")
    item.set_data_from_numpy(ROWS, **({"binary_data": binary["inputs"]} if binary else {}))
    wanted = module.InferRequestedOutput("predict_proba", **({"binary_data": binary["outputs"]} if binary else {}))
    answer = client.infer(name, [item], outputs=[wanted], request_id="7")
    assert np.array_equal(answer.as_numpy("predict_proba"), WANTED), binary
    assert (answer.get_response()["id"] if binary else answer.get_response().id) == "7"
    assert np.array_equal(client.infer(name, [item]).as_numpy("predict_proba"), WANTED)


def refusal(work: Any) -> str:
    try:
        work()
    except InferenceServerException as exc:
        return str(exc)
    return ""


def check(client: Any, module: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("chances")
    assert not client.is_model_ready("absent")
    client.get_server_metadata()
    client.get_model_metadata("chances")
    item = module.InferInput("input", [1, 4], "FP64")
    item.set_data_from_numpy(np.full((1, 4), 1e9))
    assert "row 0, column x0" in refusal(lambda: client.infer("chances", [item]))


def check_repository(client: Any, as_document: Any) -> None:
    client.load_model("chances")
    states = {item["name"]: item["state"] for item in as_document(client.get_model_repository_index())}
    assert states == {"chances": "READY"}, states
    client.unload_model("chances")
    for verb in (client.load_model, client.unload_model):
        assert refusal(lambda verb=verb: verb("absent"))


def main() -> None:
    single = http.InferenceServerClient(f"127.0.0.1:{port}")
    check(single, http)
    for inputs in (False, True):
        for outputs in (False, True):
            infer(single, http, "chances", inputs=inputs, outputs=outputs)
    over_rpc = rpc.InferenceServerClient(f"127.0.0.1:{rpc_port}")
    check(over_rpc, rpc)
    infer(over_rpc, rpc, "chances")
    many = http.InferenceServerClient(f"127.0.0.1:{fleet_port}")
    check_repository(many, lambda answer: answer)
    infer(many, http, "chances", inputs=True, outputs=True)
    many_rpc = rpc.InferenceServerClient(f"127.0.0.1:{fleet_rpc_port}")
    check_repository(many_rpc, lambda answer: [{"name": item.name, "state": item.state} for item in answer.models])
    infer(many_rpc, rpc, "chances")


main()
