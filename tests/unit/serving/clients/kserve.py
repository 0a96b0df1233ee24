"""KServe's clients, unmodified: `InferenceRESTClient` with protocols v1 and v2, `InferenceGRPCClient`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

port, rpc_port, _, _, expected_file = sys.argv[1:]
expected = json.loads(Path(expected_file).read_text())
ROWS = np.array(expected["rows"])
WANTED = np.array(expected["predictions"])


def request(*, binary: bool) -> InferRequest:
    item = InferInput("input", list(ROWS.shape), "FP64")
    item.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest("chances", [item], request_id="7")


async def main() -> None:
    base = f"http://127.0.0.1:{port}"
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(base)
        assert await client.is_server_ready(base)
        assert await client.is_model_ready(base, "chances")
        for binary in (False, True):
            answer = await client.infer(base, request(binary=binary), model_name="chances")
            assert np.array_equal(answer.outputs[0].as_numpy(), WANTED), binary
            assert answer.id == "7"
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        assert await client.is_model_ready(base, "chances")
        answer = await client.infer(base, {"instances": ROWS.tolist()}, model_name="chances")
        assert answer["predictions"] == WANTED.tolist()
    async with InferenceGRPCClient(f"127.0.0.1:{rpc_port}") as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("chances")
        for binary in (False, True):
            answer = await client.infer(request(binary=binary))
            assert np.array_equal(answer.outputs[0].as_numpy(), WANTED), binary


asyncio.run(main())
