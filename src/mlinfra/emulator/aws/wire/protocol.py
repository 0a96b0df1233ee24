"""The protocols on the wire: which operation a request asks for, and how answers and refusals look.

One class for each protocol that botocore's clients speak to the services here. Sources: the `metadata` of each
service's description (protocol, targetPrefix, jsonVersion) and the error shapes that botocore's parsers read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from mlinfra.emulator.aws.wire import motoside, refusals, restpaths
from mlinfra.emulator.aws.wire.shapes import as_json, operation, service

if TYPE_CHECKING:
    from botocore.model import StructureShape
    from werkzeug.wrappers import Request

    from mlinfra.emulator.calls import Refusal


@dataclass(frozen=True)
class Asked:
    """One request as its protocol words it: the operation and its members, not yet checked."""

    service: str  # botocore's name
    operation: str
    body: dict[str, Any] = field(default_factory=dict)


class Wire(Protocol):
    """How one service speaks."""

    def read(self, request: Request) -> Asked:
        """What the request asks for. Raises Refusal where it cannot be told."""
        ...

    def reply(self, asked: Asked, answer: Any) -> Response:
        """The answer of an operation, already in its output shape; or what a scripted lie says instead."""
        ...

    def refuse(self, refusal: Refusal, request_id: str) -> Response:
        """A refusal."""
        ...


@dataclass(frozen=True)
class JsonWire:
    """The protocol json: POST /, the operation in X-Amz-Target, JSON both ways."""

    service: str

    def read(self, request: Request) -> Asked:
        """The operation after the target's prefix, and the body."""
        target = request.headers.get("X-Amz-Target", "")
        name = target.rpartition(".")[2]
        if not self.means(target) or name not in service(self.service).operation_names:
            raise unknown_operation()
        return Asked(self.service, name, json_object(request.get_data()))

    def reply(self, asked: Asked, answer: Any) -> Response:
        """JSON; an operation without output answers with an empty body."""
        shape = operation(self.service, asked.operation).output_shape
        text = json.dumps(as_json(answer)) if shape else ""
        return Response(text, content_type=self.content_type)

    def refuse(self, refusal: Refusal, request_id: str) -> Response:  # noqa: ARG002  a header carries the id
        """`__type` and `message`."""
        document = {"__type": refusal.code, "message": refusal.message, **refusal.details}
        return Response(json.dumps(document), refusal.status, {**refusal.headers}, content_type=self.content_type)

    def means(self, target: str) -> bool:
        """Whether an X-Amz-Target is of this service."""
        return bool(target.rpartition(".")[0] == service(self.service).metadata["targetPrefix"])

    @property
    def content_type(self) -> str:
        """What requests and answers are."""
        return f"application/x-amz-json-{service(self.service).metadata.get('jsonVersion', '1.0')}"


@dataclass(frozen=True)
class QueryWire:
    """The protocol query: a form in, XML out. moto's own parser and serializer read and write it."""

    service: str

    def read(self, request: Request) -> Asked:
        """`Action` of the form, or of the query string; the members by the input shape."""
        values = request.values
        name = values.get("Action", "")
        if name not in service(self.service).operation_names:
            raise _invalid_action(name)
        return Asked(self.service, name, motoside.form_read(self.service, name, values))

    def reply(self, asked: Asked, answer: Any) -> Response:
        """XML, by the output shape."""
        return Response(motoside.form_answered(self.service, asked.operation, answer), content_type="text/xml")

    def refuse(self, refusal: Refusal, request_id: str) -> Response:
        """An ErrorResponse."""
        space = service(self.service).metadata.get("xmlNamespace", "")
        text = (
            f'<ErrorResponse xmlns="{space}"><Error><Type>{_blame(refusal)}</Type><Code>{escape(refusal.code)}</Code>'
            f"<Message>{escape(refusal.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Response(text, refusal.status, {**refusal.headers}, content_type="text/xml")


@dataclass(frozen=True)
class S3Wire:
    """S3's rest-xml. Answers are moto's; bodies are not read here, so that objects pass through as they come."""

    service: str = "s3"

    def read(self, request: Request) -> Asked:
        """The operation by method, path, query and headers; members from everything but the body."""
        name, members = restpaths.match(self.service, request)
        return Asked(self.service, name, members)

    def reply(self, asked: Asked, answer: Any) -> Response:  # noqa: ARG002  other protocols need it
        """Answers are moto's; only a scripted lie takes their place, `{"body": text}`."""
        return Response(str(answer.get("body", "")), content_type="text/xml")

    def refuse(self, refusal: Refusal, request_id: str) -> Response:
        """An Error document."""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
        return Response(text, refusal.status, {**refusal.headers}, content_type="application/xml")


_MODELLED = {("sagemaker-runtime", "ValidationException"): "ValidationError"}  # as the description's errors call it


@dataclass(frozen=True)
class RestJsonWire:
    """The protocol rest-json: members in path, query, headers and a payload."""

    service: str

    def read(self, request: Request) -> Asked:
        """The operation by method and path; the payload as bytes, or as JSON members."""
        name, members = restpaths.match(self.service, request)
        shape = operation(self.service, name).input_shape
        members = {member: _counted(shape, member, value) for member, value in members.items()}
        payload = shape.serialization.get("payload") if shape else None
        if payload:
            members[payload] = request.get_data()
        elif request.content_length:
            members.update(json_object(request.get_data()))
        return Asked(self.service, name, members)

    def reply(self, asked: Asked, answer: Any) -> Response:
        """Members into headers and payload, as the output shape places them."""
        model = operation(self.service, asked.operation)
        status = model.http.get("responseCode", 200)
        if model.output_shape is None:
            return Response(status=status)
        placed = restpaths.placed(model.output_shape, answer)
        if placed.payload is not None:
            return Response(placed.payload, status, placed.headers)
        return Response(json.dumps(as_json(placed.members)), status, placed.headers, content_type="application/json")

    def refuse(self, refusal: Refusal, request_id: str) -> Response:  # noqa: ARG002  a header carries the id
        """`x-amzn-ErrorType` names the error; the body holds its members."""
        code = _MODELLED.get((self.service, refusal.code), refusal.code)
        headers = {"x-amzn-ErrorType": code, **refusal.headers}
        document = {"message": refusal.message, "Message": refusal.message, **refusal.details}
        return Response(json.dumps(document), refusal.status, headers, content_type="application/json")


def _counted(shape: StructureShape | None, member: str, text: Any) -> Any:
    """A member outside the body as its type has it: whole numbers are texts there."""
    whole = shape is not None and shape.members[member].type_name in {"integer", "long"}
    return int(text) if whole and str(text).lstrip("-").isdigit() else text


def json_object(data: bytes) -> dict[str, Any]:
    """A body of JSON; an empty one is an empty object.

    Raises:
        Refusal: it is not an object in JSON.
    """
    try:
        document = json.loads(data or b"{}")
    except ValueError:
        raise refusals.serialization("Unexpected character in the body") from None
    if not isinstance(document, dict):
        raise refusals.serialization("Unexpected field type")
    return document


def unknown_operation() -> Refusal:
    """The target or path names none of the service's operations."""
    refusal = refusals.validation("")
    refusal.code = "UnknownOperationException"
    return refusal


def _invalid_action(name: str) -> Refusal:
    refusal = refusals.validation(f"Could not find operation {name or '(none)'}")
    refusal.code = "InvalidAction" if name else "MissingAction"
    return refusal


def _blame(refusal: Refusal) -> str:
    return "Sender" if refusal.status < 500 else "Receiver"  # noqa: PLR2004  HTTP
