"""CloudWatch's protocols. Clients choose among three: newer ones speak CBOR, others JSON, older ones query and XML.

CBOR is read and written by botocore's own parser and serializer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserError, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from werkzeug.wrappers import Response

from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.aws.wire.protocol import Asked, JsonWire, QueryWire, unknown_operation
from mlinfra.emulator.aws.wire.shapes import operation, service

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from mlinfra.emulator.aws.wire.protocol import Wire
    from mlinfra.emulator.calls import Refusal

_NAME = "cloudwatch"
_CBOR = "rpc-v2-cbor"


class CborWire:
    """The protocol smithy-rpc-v2-cbor: POST /service/<prefix>/operation/<name>."""

    service = _NAME

    def read(self, request: Request) -> Asked:
        """The operation of the path, and the body's map."""
        prefix, _, name = request.path.removeprefix("/service/").partition("/operation/")
        model = service(_NAME)
        if prefix != model.metadata["targetPrefix"] or name not in model.operation_names:
            raise unknown_operation()
        return Asked(_NAME, name, _decoded(request.get_data()))

    def reply(self, asked: Asked, answer: Any) -> Response:
        """A map, by the output shape."""
        shape = operation(_NAME, asked.operation).output_shape
        written = bytearray()
        if shape is not None:
            RpcV2CBORSerializer()._serialize_data_item(written, answer, shape)  # noqa: SLF001  the encoder has no other door
        return _response(bytes(written), 200)

    def refuse(self, refusal: Refusal, request_id: str) -> Response:  # noqa: ARG002  a header carries the id
        """`__type` and `message`; the code that query clients know, in a header."""
        written = b"\xa2" + _text("__type") + _text(refusal.code) + _text("message") + _text(refusal.message)
        response = _response(written, refusal.status)
        blame = "Sender" if refusal.status < 500 else "Receiver"  # noqa: PLR2004  HTTP
        response.headers["x-amzn-query-error"] = f"{refusal.code};{blame}"
        return response


_JSON = JsonWire(_NAME)
_QUERY = QueryWire(_NAME)
_BINARY = CborWire()


def wire(request: Request) -> Wire:
    """The protocol that a request to CloudWatch speaks."""
    if request.headers.get("smithy-protocol") == _CBOR:
        return _BINARY
    return _JSON if "X-Amz-Target" in request.headers else _QUERY


def _decoded(data: bytes) -> dict[str, Any]:
    parser = RpcV2CBORParser()
    try:
        found = parser.parse_data_item(parser.get_peekable_stream_from_bytes(data)) if data else {}
    except (ResponseParserError, ValueError, TypeError, struct.error) as exc:
        raise refusals.serialization(f"the body is not CBOR: {exc}") from None
    if not isinstance(found, dict):
        raise refusals.serialization("Unexpected field type")
    return found


def _response(data: bytes, status: int) -> Response:
    return Response(data, status, {"smithy-protocol": _CBOR}, content_type="application/cbor")


def _text(value: str) -> bytes:
    """A text of CBOR (RFC 8949, major type 3), its length in four bytes."""
    data = value.encode()
    return b"\x7a" + struct.pack(">I", len(data)) + data
