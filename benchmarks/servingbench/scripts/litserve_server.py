"""LitServe: one worker process behind its queue, as its documentation shows."""

from __future__ import annotations

from typing import Any

import litserve
import peer


class Api(litserve.LitAPI):
    """The model behind LitServe's hooks."""

    def setup(self, device: str) -> None:  # noqa: ARG002  the hook's signature
        """Load."""
        self.model = peer.load()

    def decode_request(self, request) -> list[Any]:  # type: ignore[no-untyped-def]  # noqa: ANN001  LitServe reads it
        """Rows of a request."""
        instances: list[Any] = request["instances"]
        return instances

    def predict(self, x: list[Any]) -> list[Any]:
        """Ask the model."""
        return peer.predict(self.model, x)

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """The answer."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=peer.PORT, num_api_servers=1, generate_client_file=False, log_level="warning")
