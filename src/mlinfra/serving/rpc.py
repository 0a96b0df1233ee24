"""The Open Inference Protocol over gRPC: each call becomes the HTTP request that asks the same, answered in process.

So there is one way to a model: the same checks, limits, metrics, capture and errors, whichever protocol asked.
Tensors stay raw bytes on their way. Needs grpcio and protobuf, and runs only where a port for it was named.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from mlinfra.errors import CapabilityError, Unavailable
from mlinfra.serving import tensors
from mlinfra.serving.messages import Request
from mlinfra.serving.rpcmessages import SERVICE, message_classes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mlinfra.serving.app import App
    from mlinfra.serving.messages import Response

_CONTENTS = {  # which field of InferTensorContents holds a datatype
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    507: "RESOURCE_EXHAUSTED",
}
_OK = 200
_LENGTH = b"inference-header-content-length"
_GRACE = 5.0  # seconds for calls under way when the server stops


class Call:
    """One call in the place of a connection: whoever answers it later finds it here."""

    is_ended = False
    has_left = False

    def __init__(self) -> None:
        self.answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

    def complete(self, _request: Request, response: Response) -> None:
        """Take the answer."""
        if not self.answer.done():
            self.answer.set_result(response)

    def end(self) -> None:
        """There will be no answer."""
        if not self.answer.done():
            self.answer.set_result(None)


class Gateway:
    """The service. Everything here runs on the event loop."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._messages = message_classes()
        import grpc  # noqa: PLC0415  an extra that most servers go without

        self._grpc = grpc
        self._server: Any = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port. Raises Unavailable where that cannot be had."""
        limit, most = self._app.settings.body_limit, self._app.settings.connections
        options = [("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", -1)]
        from grpc import aio  # noqa: PLC0415  as above

        self._server = aio.server(options=options, maximum_concurrent_rpcs=most)
        self._server.add_generic_rpc_handlers((self._grpc.method_handlers_generic_handler(SERVICE, self._methods()),))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound: int = self._server.add_insecure_port(address)
        except RuntimeError as exc:
            raise Unavailable(f"cannot listen on {address}", todo="choose another port with --grpc-port") from exc
        await self._server.start()
        return bound

    async def stop(self) -> None:
        """Take no more calls, finish those under way."""
        await self._server.stop(_GRACE)

    def _methods(self) -> dict[str, Any]:
        verbs = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        return {name: self._handler(name, verb) for name, verb in verbs.items()}

    def _handler(self, name: str, verb: Callable[[Any], Awaitable[dict[str, Any]]]) -> Any:
        answer = self._messages[f"{name}Response"]

        async def serve(message: Any, context: Any) -> Any:
            try:
                return answer(**await verb(message))
            except _Failed as failed:
                code = getattr(self._grpc.StatusCode, failed.code)
                await context.abort(code, failed.words)

        read = self._messages[f"{name}Request"].FromString
        return self._grpc.unary_unary_rpc_method_handler(serve, read, answer.SerializeToString)

    async def _live(self, _message: Any) -> dict[str, Any]:
        return {"live": True}

    async def _ready(self, _message: Any) -> dict[str, Any]:
        return {"ready": (await self._asked(b"GET", "/v2/health/ready")).status == _OK}

    async def _model_ready(self, message: Any) -> dict[str, Any]:
        return {"ready": (await self._asked(b"GET", f"{_address(message.name, message.version)}/ready")).status == _OK}

    async def _server_metadata(self, _message: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self._document(b"GET", "/v2")
        return found

    async def _model_metadata(self, message: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self._document(b"GET", _address(message.name, message.version))
        return found

    async def _index(self, message: Any) -> dict[str, Any]:
        models = await self._document(b"POST", "/v2/repository/index")
        return {"models": [item for item in models if not message.ready or item["state"] == "READY"]}

    async def _load(self, message: Any) -> dict[str, Any]:
        await self._document(b"POST", f"/v2/repository/models/{quote(message.model_name, safe='')}/load")
        return {}

    async def _unload(self, message: Any) -> dict[str, Any]:
        await self._document(b"POST", f"/v2/repository/models/{quote(message.model_name, safe='')}/unload")
        return {}

    async def _infer(self, message: Any) -> dict[str, Any]:
        head, raw = _as_http(message)
        headers = {_LENGTH: b"%d" % len(head)}
        address = f"{_address(message.model_name, message.model_version)}/infer"
        response = _checked(await self._asked(b"POST", address, head + raw, headers))
        return _as_rpc(response)

    async def _document(self, method: bytes, target: str) -> Any:
        return orjson.loads(_checked(await self._asked(method, target)).body)

    async def _asked(
        self, method: bytes, target: str, body: bytes = b"", headers: dict[bytes, bytes] | None = None
    ) -> Response:
        request, call = Request(), Call()
        connection: Any = call  # all that is asked of a connection after a request has come
        request.method, request.target, request.body = method, target.encode(), body
        request.headers.update(headers or {})
        response = self._app.answer(request, connection)
        if response is not None:
            return response
        try:
            later = await asyncio.wait_for(call.answer, self._app.settings.predict_timeout)
        except TimeoutError:
            raise _Failed("DEADLINE_EXCEEDED", "the model did not answer in time") from None
        except asyncio.CancelledError:
            call.has_left = True  # the client waits no longer, so the model need not be asked
            raise
        if later is None:
            raise _Failed("CANCELLED", "the call was given up")
        return later


class _Failed(Exception):
    """A call that ends with a status other than OK."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def gateway(app: App) -> Gateway:
    """The service over an app. Raises CapabilityError where its libraries are not installed."""
    try:
        return Gateway(app)
    except ModuleNotFoundError as exc:
        what = "gRPC needs packages that are not installed here"
        raise CapabilityError(what, given=str(exc.name), todo="install grpcio and protobuf beside mlinfra-kit") from exc


def _address(name: str, version: str) -> str:
    named = f"/v2/models/{quote(name, safe='')}"
    return f"{named}/versions/{quote(version, safe='')}" if version else named


def _checked(response: Response) -> Response:
    if response.status == _OK:
        return response
    document = orjson.loads(response.body)
    error = document.get("error", document)
    rows = document.get("rows") or (error.get("rows") if isinstance(error, dict) else None)
    words = error["message"] if isinstance(error, dict) else str(error)
    details = f" {orjson.dumps(rows).decode()[:1000]}" if rows else ""
    raise _Failed(_CODES.get(response.status, "INTERNAL"), words + details)


def _as_http(message: Any) -> tuple[bytes, bytes]:
    """JSON and raw bytes of the HTTP request that asks the same."""
    raw = list(message.raw_input_contents)
    if raw and (len(raw) != len(message.inputs) or any(item.contents.ByteSize() for item in message.inputs)):
        raise _Failed("INVALID_ARGUMENT", "contents come for all inputs raw, or for all inputs typed")
    raw = raw or [_packed(item) for item in message.inputs]
    inputs = [
        {
            "name": item.name,
            "datatype": item.datatype,
            "shape": list(item.shape),
            "parameters": {"binary_data_size": len(content)},
        }
        for item, content in zip(message.inputs, raw, strict=True)
    ]
    document: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    if message.id:
        document["id"] = message.id
    if message.outputs:
        document["outputs"] = [{"name": item.name} for item in message.outputs]
    return orjson.dumps(document), b"".join(raw)


def _packed(item: Any) -> bytes:
    """Typed contents as the raw bytes that they stand for."""
    field = _CONTENTS.get(item.datatype)
    if field is None:
        raise _Failed("INVALID_ARGUMENT", f"input {item.name}: datatype {item.datatype[:50]} has no typed contents")
    values = list(getattr(item.contents, field))
    try:
        return tensors.to_bytes(values, item.datatype)
    except (struct.error, OverflowError) as exc:
        raise _Failed("INVALID_ARGUMENT", f"input {item.name}: a value is no {item.datatype}") from exc


def _as_rpc(response: Response) -> dict[str, Any]:
    """The fields of a ModelInferResponse."""
    length = next(int(line.partition(b":")[2]) for line in response.headers.split(b"\r\n") if line.startswith(_LENGTH))
    document, raw, start = orjson.loads(response.body[:length]), [], length
    for output in document["outputs"]:
        size = output.pop("parameters")["binary_data_size"]
        raw.append(response.body[start : start + size])
        start += size
    return {**document, "raw_output_contents": raw}
