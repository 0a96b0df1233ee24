"""The gRPC server: every method of every service by its path, messages as bytes until the method is known."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from mlinfra.emulator.calls import Cut, Refusal
from mlinfra.emulator.gcp.wire import longrunning, refusals, rpcs
from mlinfra.emulator.gcp.wire.front import Asked
from mlinfra.emulator.gcp.wire.messages import plain
from mlinfra.emulator.gcp.wire.status import status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.gcp.wire.front import Front

_LOOPBACK = "127.0.0.1"
_AT_ONCE = 64  # calls at a time
_LONG_RUNNING = "google.longrunning.Operations"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_FAULT = refusals.refusal("INTERNAL", "the emulator met a fault of its own; its log tells more")
_log = logging.getLogger(__name__)


class GrpcPort:
    """Serves gRPC without TLS on loopback. `cut` ends the connection that a local address of the relay belongs to."""

    def __init__(self, front: Front, cut: Callable[[int], None], owner: Callable[[int], str]) -> None:
        """`owner` tells at whose own address the connection that goes on over a local port came in."""
        self._front = front
        self._owner = owner
        self._cut = cut
        self._server: Any = None
        self.port = 0

    def start(self) -> None:
        """Listen and serve until `stop`."""
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="grpc")
        self._server = grpc.server(pool, handlers=(_Handler(self),), options=_OPTIONS)
        self.port = self._server.add_insecure_port(f"{_LOOPBACK}:0")
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection. Safe to repeat."""
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def respond(self, path: str, data: bytes, context: Any) -> bytes:
        """Answer one call."""
        try:
            return self._answer(path, data, context)
        except Refusal as exc:
            _refuse(exc, context)
        except Cut:
            self._cut(_port(context))
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        except grpc.RpcError:
            raise
        except Exception:  # noqa: BLE001  whatever the method did, the client gets an answer and the log a trace
            _log.exception("%s met a fault of the emulator", path)
            _refuse(_FAULT, context)
        raise AssertionError("abort does not return")

    def _answer(self, path: str, data: bytes, context: Any) -> bytes:
        service, _, name = path.strip("/").partition("/")
        rpc = self._front.rpc(_short(service), name)
        try:
            message = rpcs.parsed(rpc, data)
        except DecodeError as exc:
            raise refusals.refusal("INTERNAL", f"Failed to parse the request: {exc}") from None
        headers = dict(context.invocation_metadata())
        address = self._owner(_port(context))
        reply = self._front.answer(Asked(rpc, message, str(headers.get("authorization", "")), address))
        if reply.headers:
            context.send_initial_metadata(tuple((key.lower(), value) for key, value in reply.headers.items()))
        answer: bytes = plain(reply.message).SerializeToString()
        return answer


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    def __init__(self, port: GrpcPort) -> None:
        self._port = port

    def service(self, details: Any) -> Any:
        path = str(details.method)
        return grpc.unary_unary_rpc_method_handler(lambda data, context: self._port.respond(path, data, context))


def _port(context: Any) -> int:
    """The local port at which the relay's connection begins."""
    return int(context.peer().rpartition(":")[2])


def _short(service: str) -> str:
    if service == _LONG_RUNNING:
        return longrunning.SERVICE
    return service.removeprefix(f"{rpcs.PACKAGE}.")


def _refuse(error: Refusal, context: Any) -> NoReturn:
    status = status_of(error)
    if status.details:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(_CODES[status.code], error.message)
    raise AssertionError("abort does not return")
