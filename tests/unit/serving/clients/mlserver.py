"""MLServer's client side, unmodified: its types and codecs over HTTP, its converters and stub over gRPC."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
from mlserver import types
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec
from mlserver.grpc import converters, dataplane_pb2_grpc

port, rpc_port, _, _, expected_file = sys.argv[1:]
expected = json.loads(Path(expected_file).read_text())
ROWS = np.array(expected["rows"])
WANTED = np.array(expected["predictions"])


def ask(request: types.InferenceRequest) -> np.ndarray:
    url = f"http://127.0.0.1:{port}/v2/models/chances/infer"
    asked = urllib.request.Request(url, request.model_dump_json().encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  the address is ours
        response = types.InferenceResponse.model_validate_json(answer.read())
    assert response.model_name == "chances"
    return NumpyCodec.decode_output(response.outputs[0])


def main() -> None:
    tensor = types.InferenceRequest(inputs=[NumpyCodec.encode_input("input", ROWS)])
    assert np.array_equal(ask(tensor), WANTED)
    assert np.array_equal(ask(NumpyRequestCodec.encode_request(ROWS)), WANTED)
    frame = pd.DataFrame(ROWS, columns=[f"x{index}" for index in range(ROWS.shape[1])])
    assert np.array_equal(ask(PandasCodec.encode_request(frame)), WANTED)
    with grpc.insecure_channel(f"127.0.0.1:{rpc_port}") as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
        for raw in (False, True):
            message = converters.ModelInferRequestConverter.from_types(tensor, model_name="chances", use_raw=raw)
            response = converters.ModelInferResponseConverter.to_types(stub.ModelInfer(message))
            assert np.array_equal(NumpyCodec.decode_output(response.outputs[0]), WANTED), raw


main()
