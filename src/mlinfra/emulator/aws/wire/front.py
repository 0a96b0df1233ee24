"""The one door of the emulator: from an HTTP request to an operation, and from its end to an HTTP answer.

Service and caller come from the signature's scope, the operation from the protocol; then the call passes the desk,
and is answered by an operation of ours or by moto. Refusals leave in the form of the service's protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from werkzeug.http import http_date
from werkzeug.wrappers import Request as HttpRequest

from mlinfra.emulator.aws.identity import authorize
from mlinfra.emulator.aws.identity.principals import ExpiredKey, Principal, UnknownKey
from mlinfra.emulator.aws.operations import Request
from mlinfra.emulator.aws.wire import metricwires, motoside, protocol, refusals, validate
from mlinfra.emulator.aws.wire.credentials import Scope, scope_of
from mlinfra.emulator.aws.wire.relay import Relay, Relayed
from mlinfra.emulator.aws.wire.shapes import operation, shaped
from mlinfra.emulator.aws.wire.visit import Visit
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Response

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Operation
    from mlinfra.emulator.aws.wire.protocol import Wire

_EVERYWHERE = {"s3", "iam", "sts"}  # services that sign for another region than the one they are used in
_REST = {"sagemaker-runtime", "sagemaker-metrics", "scheduler"}
_WIRES: dict[str, Wire] = {
    **{name: protocol.JsonWire(name) for name in ("logs", "application-autoscaling", "kms", "ecr", "events")},
    **{name: protocol.JsonWire(name) for name in ("secretsmanager", "service-quotas", "sagemaker")},
    **{name: protocol.QueryWire(name) for name in ("iam", "sts")},
    **{name: protocol.RestJsonWire(name) for name in ("scheduler", "sagemaker-runtime", "sagemaker-metrics")},
    "s3": protocol.S3Wire(),
}

# Service -> how the operations begin that make what may be tagged at once, and the further permission for that.
_TAGGING = {
    "sagemaker": ("Create", "sagemaker:AddTags"),
    "cloudwatch": ("Put", "cloudwatch:TagResource"),
}


class Front:
    """Answers the requests of every service. `tables` hold our own operations, by botocore's name of the service."""

    def __init__(self, emulator: AwsEmulator, tables: Mapping[str, Mapping[str, Operation]]) -> None:
        self._emulator = emulator
        self._tables = tables
        self._relay = Relay(emulator)

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Cut passes through."""
        response = self._answer(HttpRequest(environ))
        return response(environ, start_response)

    def _answer(self, request: HttpRequest) -> Response:
        request_id = str(uuid4())
        wire: Wire = _WIRES["s3"]
        try:
            scope = scope_of(request, self._emulator.clock.now())
            wire = self._wire(scope, request)
            response = self._admitted(self._visit(request, scope, wire))
        except Relayed as exc:
            response = exc.response
        except Refusal as exc:
            response = wire.refuse(exc, request_id)
        # Clients correct their clocks by it, so it must be the time in which their signatures are judged.
        response.headers["Date"] = http_date(self._emulator.clock.now())
        response.headers.setdefault("x-amzn-RequestId", request_id)
        response.headers.setdefault("x-amz-request-id", response.headers["x-amzn-RequestId"])
        return response

    def _wire(self, scope: Scope, request: HttpRequest) -> Wire:
        """The protocol that the request speaks.

        Raises:
            Refusal: nothing of that service is emulated.
        """
        name = self._service(scope, request)
        if name == "cloudwatch":
            return metricwires.wire(request)
        if name not in _WIRES:
            raise refusals.not_emulated(f"the service {scope.service!r}")
        return _WIRES[name]

    def _service(self, scope: Scope, request: HttpRequest) -> str:
        """The service by botocore's name: the signing name, but for those that several services share."""
        if not scope.key_id and "X-Amz-Target" in request.headers:
            return _targeted(request.headers["X-Amz-Target"])
        if scope.service == "monitoring":
            return "cloudwatch"
        if scope.service == "sagemaker":
            if "X-Amz-Target" in request.headers:
                return "sagemaker"
            return "sagemaker-metrics" if request.path.startswith("/Batch") else "sagemaker-runtime"
        return motoside.SERVICES.get(scope.service, scope.service)

    def _visit(self, request: HttpRequest, scope: Scope, wire: Wire) -> Visit:
        if scope.service != "s3":
            request.get_data()  # kept, so that a form can be read and the body be passed on
        asked = wire.read(request)
        principal = self._principal(scope, asked.service)
        if scope.region != self._emulator.region and scope.service not in _EVERYWHERE:
            raise Refusal(
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region, not '{scope.region}'.",
                status=403,
            )
        return Visit(request, wire, asked, principal)

    def _principal(self, scope: Scope, service: str) -> Principal:
        if not scope.key_id:
            if service == "s3":
                raise Refusal("AccessDenied", "Access Denied", status=403)
            raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
        try:
            return self._emulator.principals.of(scope.key_id, self._emulator.clock.now())
        except UnknownKey:
            raise _unknown_key(service) from None
        except ExpiredKey:
            message = "The security token included in the request is expired"
            raise Refusal(
                "ExpiredToken" if service in {"s3", "iam", "sts"} else "ExpiredTokenException",
                message,
                status=403 if service in {"iam", "sts", *_REST} else 400,
            ) from None

    def _admitted(self, visit: Visit) -> Response:
        table = self._tables.get(visit.asked.service, {})
        if visit.asked.operation in table:
            return self._own(visit, table[visit.asked.operation])
        if visit.asked.service in motoside.PLAYED:
            return self._relay.answer(visit)
        raise refusals.not_emulated(f"{visit.asked.service}:{visit.asked.operation}")

    # Operations of ours

    def _own(self, visit: Visit, entry: Operation) -> Response:
        asked = visit.asked
        model = operation(asked.service, asked.operation)
        body = validate.read(model.input_shape, asked.body) if model.input_shape else {}
        wanted = authorize.Permission(
            authorize.action(asked.service, asked.operation),
            (self._arn(entry.resource(body)),),
            {**authorize.surroundings(self._emulator.place), **_context(body)},
        )
        call = visit.call(wanted, body)

        def act() -> dict[str, Any]:
            tagging = _TAGGING.get(asked.service)
            if tagging and body.get("Tags") and asked.operation.startswith(tagging[0]):
                self._emulator.desk.allow(call, tagging[1], call.resources[0])
            if model.input_shape:
                validate.check(model.input_shape, body)
            request = Request(body, visit.principal.arn, visit.principal.caller, call)
            answer = entry.handle(self._emulator, request)
            return shaped(model.output_shape, answer) if model.output_shape else {}

        return visit.wire.reply(asked, self._emulator.desk.admit(call, act))

    def _arn(self, resource: str) -> str:
        if resource == "*" or resource.startswith("arn:"):
            return resource
        return self._emulator.place.arn("cloudwatch" if resource.startswith("alarm:") else "sagemaker", resource)


def _targeted(target: str) -> str:
    """The service that a request without a signature means."""
    named = (name for name, wire in _WIRES.items() if isinstance(wire, protocol.JsonWire) and wire.means(target))
    return next(named, "s3")


def _unknown_key(service: str) -> Refusal:
    if service == "s3":
        message = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal("InvalidAccessKeyId", message, status=403)
    message = "The security token included in the request is invalid."
    if service in {"iam", "sts"}:
        return Refusal("InvalidClientTokenId", message, status=403)
    return Refusal("UnrecognizedClientException", message, status=403 if service in _REST else 400)


def _context(body: Mapping[str, Any]) -> dict[str, Any]:
    """What conditions on tags look at."""
    tags = body.get("Tags") or ()
    pairs = {tag["Key"]: tag["Value"] for tag in tags if isinstance(tag, dict) and {"Key", "Value"} <= tag.keys()}
    found: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in pairs.items()}
    return {**found, "aws:TagKeys": list(pairs)} if pairs else found
