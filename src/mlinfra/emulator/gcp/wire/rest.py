"""Vertex AI over REST: the same methods, JSON in and JSON out; a raw prediction's body goes through as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.api import httpbody_pb2
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.wire import refusals, transcoding
from mlinfra.emulator.gcp.wire.front import Asked
from mlinfra.emulator.gcp.wire.messages import as_document, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.gcp.operations import Reply
    from mlinfra.emulator.gcp.wire.front import Front
    from mlinfra.emulator.gcp.wire.rpcs import Rpc
    from mlinfra.emulator.gcp.wire.transcoding import Match

_ENUM_NUMBERS = "enum-encoding=int"
_RAW = "google.api.HttpBody"
_JSON = "application/json; charset=UTF-8"


class Rest:
    """Answers what a path of Vertex AI asks."""

    def __init__(self, front: Front, owner: Callable[[int], str]) -> None:
        """`owner` tells at whose own address the connection that goes on over a local port came in."""
        self._front = front
        self._owner = owner

    def respond(self, request: HttpRequest) -> Response:
        """Answer one request. Cut passes through."""
        try:
            return self._answer(request)
        except Refusal as exc:
            return Response(json.dumps(refusals.document(exc)), exc.status, exc.headers, content_type=_JSON)

    def _answer(self, request: HttpRequest) -> Response:
        found = transcoding.match(request.method, request.path)
        if found is None:
            raise refusals.refusal("NOT_FOUND", f"The requested URL {request.path} was not found on this server.")
        rpc = self._front.rpc(found.service, found.name)
        address = self._owner(int(request.environ["REMOTE_PORT"]))
        asked = Asked(rpc, _message(request, found, rpc), request.headers.get("Authorization", ""), address)
        return _response(self._front.answer(asked), request)


def _message(request: HttpRequest, found: Match, rpc: Rpc) -> Any:
    query = request.query_string.decode()
    raw = _raw_member(rpc)
    if raw:
        made = transcoding.message(rpc.request, transcoding.document(found, query, {}, rpc.request))
        body = httpbody_pb2.HttpBody(content_type=request.content_type or "", data=request.get_data())
        getattr(plain(made), raw).CopyFrom(body)
        return made
    text = request.get_data()
    try:
        body_document = json.loads(text) if text else None
    except ValueError as exc:
        raise refusals.invalid_argument(f"Invalid JSON payload received. {exc}") from None
    if body_document is not None and not isinstance(body_document, dict):
        raise refusals.invalid_argument("Invalid JSON payload received. Root element must be a message.")
    return transcoding.message(rpc.request, transcoding.document(found, query, body_document, rpc.request))


def _raw_member(rpc: Rpc) -> str:
    """The member that holds the HTTP body as it is; empty for the methods that speak JSON."""
    fields = plain(rpc.request()).DESCRIPTOR.fields
    return next((each.name for each in fields if each.message_type and each.message_type.full_name == _RAW), "")


def _response(reply: Reply, request: HttpRequest) -> Response:
    message = plain(reply.message)
    if message.DESCRIPTOR.full_name == _RAW:
        kind = message.content_type or "application/octet-stream"
        return Response(message.data, 200, dict(reply.headers), content_type=kind)
    numbers = _ENUM_NUMBERS in request.args.get("$alt", "")
    text = json.dumps(as_document(message, enum_numbers=numbers))
    return Response(text, 200, dict(reply.headers), content_type=_JSON)
