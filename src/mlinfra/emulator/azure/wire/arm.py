"""The one door of Azure Resource Manager: who calls, in which api-version, which operation, and what it answers."""

from __future__ import annotations

import uuid
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import ML, kind_of
from mlinfra.emulator.azure.operations import Reply, Request
from mlinfra.emulator.azure.wire import etags, httpcalls, refusals
from mlinfra.emulator.azure.wire.limits import Limits
from mlinfra.emulator.azure.wire.routes import Match, Routes
from mlinfra.emulator.azure.wire.schemas import having, schemas
from mlinfra.emulator.azure.wire.validate import checked
from mlinfra.emulator.azure.wire.versions import supported
from mlinfra.emulator.calls import Call, Refusal
from mlinfra.spec.patch import merge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request as HttpRequest
    from werkzeug.wrappers import Response

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Operation

_SUBSCRIPTIONS = "subscriptions"
_NOT_FOUND = 404


class Arm:
    """Answers whatever lies below `/subscriptions` and `/providers`."""

    def __init__(self, emulator: AzureEmulator, operations: Iterable[Operation]) -> None:
        self._emulator = emulator
        self._limits = Limits(emulator)
        self._conditional = RLock()
        self.routes = Routes(operations, emulator.place)

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Cut passes through."""
        return httpcalls.served(environ, start_response, self._served)

    def _served(self, http: HttpRequest) -> Response:
        try:
            reply = self._answer(http)
            response = httpcalls.replied(reply.body, reply.status, dict(reply.headers))
        except Refusal as exc:
            response = httpcalls.replied(refusals.document(exc), exc.status, exc.headers)
        own = str(uuid.uuid4())
        response.headers["x-ms-request-id"] = own
        response.headers["x-ms-correlation-request-id"] = http.headers.get("x-ms-correlation-request-id", own)
        told = http.headers.get("x-ms-client-request-id")
        if told and http.headers.get("x-ms-return-client-request-id", "").lower() == "true":
            response.headers["x-ms-client-request-id"] = told
        return response

    def _answer(self, http: HttpRequest) -> Reply:
        """Answer one request.

        Raises:
            Refusal: ARM's own error, or the provider's.
            Cut: the connection ends without an answer.
        """
        principal = httpcalls.caller(self._emulator, http, "management")
        match = self._match(http)
        request = self._read(http, match, principal)

        def act() -> Reply:
            self._limits.take(request.call, match.operation.kind)
            return self._told(self._handled(match.operation, request), match.operation, principal)

        def lie(answer: Reply | None, reply: Any) -> Reply:
            if answer is None:
                return Reply(reply)
            return Reply(merge(answer.body, reply), answer.status, answer.headers)

        return self._emulator.desk.admit(request.call, act, lie=lie)

    def _read(self, http: HttpRequest, match: Match, principal: str) -> Request:
        operation = match.operation
        version = self._version(http, match)
        body = httpcalls.document(http) if operation.has_body else None
        if body is not None and not isinstance(body, dict):
            told = "The request content was invalid and could not be deserialized: the root is no object."
            raise refusals.refusal("InvalidRequestContent", told)
        call = Call(
            service=operation.service,
            operation=operation.name,
            action=operation.action,
            principal=principal,
            resources=(_scope(match.id),),
            body=body or {},
            control=operation.control,
        )
        return Request(
            id=match.id,
            parts=match.parts,
            method=http.method,
            body=body or {},
            version=version,
            query=dict(http.args.items()),
            headers={name.lower(): value for name, value in http.headers.items()},
            principal=principal,
            call=call,
            address=http.host_url.rstrip("/"),
        )

    def _checked(self, operation: Operation, request: Request) -> dict[str, Any]:
        """The body as the models of the request's own api-version let it pass.

        Raises:
            Refusal: it breaks its model, or that version has no such operation.
        """
        known = schemas(request.version) if operation.service == ML and operation.has_body else None
        model = known.body(operation.method, operation.path) if known else ""
        if known and model:
            return checked(known, model, request.body, partial=request.method == "PATCH")
        others = having(operation.method, operation.path) if known else ()
        if others:
            raise refusals.unknown_version(request.version, kind_of(request.id), self._emulator.place.region, others)
        return request.body

    def _handled(self, operation: Operation, request: Request) -> Reply:
        valid = replace(request, body=self._checked(operation, request))
        if not etags.conditional(request.headers) or operation.kind == "read":
            return _reply(operation.handle(self._emulator, valid))
        with self._conditional:
            etags.check(request, lambda: self._current(request))
            return _reply(operation.handle(self._emulator, valid))

    def _current(self, request: Request) -> str:
        """The etag of what a write is about, empty where there is none."""
        match = self.routes.match("GET", request.resource)
        if match is None:
            return ""
        asked = replace(request, id=match.id, parts=match.parts, method="GET", body={})
        try:
            return etags.of(_reply(match.operation.handle(self._emulator, asked)))
        except Refusal as exc:
            if exc.status != _NOT_FOUND:
                raise
            return ""

    def _told(self, reply: Reply, operation: Operation, principal: str) -> Reply:
        """The reply with the headers that every one has."""
        etag = etags.of(reply) if operation.service == ML else ""
        headers = {**self._limits.header(principal, operation.kind), **({"ETag": etag} if etag else {})}
        return replace(reply, headers={**headers, **reply.headers})

    def _match(self, http: HttpRequest) -> Match:
        own = self._emulator.place.subscription
        first, _, rest = http.path.lstrip("/").partition("/")
        asked = rest.partition("/")[0]
        if first.lower() == _SUBSCRIPTIONS and asked and asked.lower() != own:
            raise refusals.subscription_not_found(asked)
        match = self.routes.match(http.method, http.path)
        if match is None:
            raise refusals.not_emulated(f"{http.method} {http.path}")
        return match

    def _version(self, http: HttpRequest, match: Match) -> str:
        version = str(http.args.get("api-version", ""))
        if not version:
            raise refusals.missing_version()
        known = supported(match.operation.service, match.operation.versions)
        if known and version not in known:
            raise refusals.unknown_version(version, kind_of(match.id), self._emulator.place.region, known)
        return version


def _reply(answer: Any) -> Reply:
    return answer if isinstance(answer, Reply) else Reply(answer)


def _scope(name: str) -> str:
    """What the permission is asked on: the resource; for a collection and for a verb what it belongs to."""
    _, _, rest = name.rpartition("/providers/")
    count = len(rest.split("/")) - 1  # without the provider's name, or what stands before the first slash
    return name if count % 2 == 0 else name.rpartition("/")[0]
