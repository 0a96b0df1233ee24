"""Predict as containers speak it: `{"instances", "parameters"}` in, `{"predictions"}` out.

After the guide "Custom container requirements", sections "Request requirements" and "Response requirements".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.cloud import aiplatform_v1 as vertex
from google.protobuf import json_format

from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import plain

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.gcp.endpoints.records import Deployment

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_SERVER_ERROR = 500


class BadAnswer(ValueError):
    """The container's answer is not what Predict asks of it."""


def request_body(message: Any) -> bytes:
    """The body of the request to the container, of a PredictRequest."""
    raw: Any = plain(message)
    document = {"instances": [json_format.MessageToDict(each) for each in raw.instances]}
    if raw.HasField("parameters"):
        document["parameters"] = json_format.MessageToDict(raw.parameters)
    return json.dumps(document).encode()


def answer(body: bytes, deployment: Deployment) -> Any:
    """The PredictResponse that a container's answer makes.

    Raises:
        BadAnswer: it is not JSON, or holds no list of predictions.
    """
    try:
        document = json.loads(body)
    except ValueError as exc:
        raise BadAnswer(f"The response of the model server is not JSON: {exc}.") from None
    predictions = document.get("predictions") if isinstance(document, dict) else None
    if not isinstance(predictions, list):
        raise BadAnswer('The response of the model server has no list in its field "predictions".')
    made = vertex.PredictResponse(
        deployed_model_id=deployment.id,
        model=deployment.message.model,
        model_version_id=deployment.message.model_version_id,
        model_display_name=deployment.model_display_name,
    )
    raw: Any = plain(made)
    for each in predictions:
        json_format.ParseDict(each, raw.predictions.add())
    if "metadata" in document:
        json_format.ParseDict(document["metadata"], raw.metadata)
    return made


def refused(status: int, body: bytes) -> Refusal:
    """The error that a container's answer of an error status becomes, by google.rpc.Code's table of HTTP statuses."""
    other = "INTERNAL" if status >= _SERVER_ERROR else "FAILED_PRECONDITION"
    return refusals.refusal(_CODES.get(status, other), body.decode("utf-8", "replace"))
