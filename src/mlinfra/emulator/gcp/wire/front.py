"""The one door of Vertex AI, whichever transport a request comes by: who calls, which method, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.operations import Method, Reply, Request
from mlinfra.emulator.gcp.wire import longrunning, refusals, rpcs, validate
from mlinfra.emulator.gcp.wire.messages import Document, as_document, from_document
from mlinfra.emulator.gcp.wire.rpcs import Rpc
from mlinfra.spec.patch import merge

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator

QUOTA = "quota of Vertex AI"  # the service under which the shared allowances are kept


@dataclass(frozen=True)
class Asked:
    """One request, before anything is known of it but its RPC."""

    rpc: Rpc
    message: Any
    authorization: str
    address: str = ""  # the endpoint at whose own address it came in


class Front:
    """Answers the RPCs of Vertex AI. `table` holds the methods that are emulated, by service and name."""

    def __init__(self, emulator: GcpEmulator, table: dict[tuple[str, str], Method]) -> None:
        self._emulator = emulator
        self._table = table

    def rpc(self, service: str, name: str) -> Rpc:
        """An RPC by the service's short name and its own.

        Raises:
            Refusal: UNIMPLEMENTED, there is none, or none that is emulated.
        """
        known = self._known(service, name)
        if known is None or (service, name) not in self._table:
            raise refusals.not_emulated(f"{service}.{name}")
        return known

    def answer(self, asked: Asked) -> Reply:
        """Answer one request.

        Raises:
            Refusal: the service's own error.
            Cut: the connection ends without an answer.
        """
        principal = self._emulator.principals.caller(asked.authorization)
        if not principal:
            raise refusals.unauthenticated(missing=True)
        method = self._table[asked.rpc.service, asked.rpc.name]
        call = self._call(method, asked.message, principal)

        def act() -> Reply:
            self._take(method, call)
            validate.check(asked.message)
            answer = method.handle(self._emulator, Request(asked.message, principal, call, asked.address))
            return answer if isinstance(answer, Reply) else Reply(answer)

        def lie(answer: Reply | None, reply: Any) -> Reply:
            document = merge(as_document(answer.message), reply) if answer else reply
            return Reply(from_document(asked.rpc.reply, document), answer.headers if answer else {})

        return self._emulator.desk.admit(call, act, lie=lie)

    def _known(self, service: str, name: str) -> Rpc | None:
        if service == longrunning.SERVICE:
            pair = longrunning.MESSAGES.get(name)
            return Rpc(service, name, *pair, rpcs.operation_rules(name)) if pair else None
        return rpcs.rpcs(service).get(name) if service in rpcs.SERVICES else None

    def _call(self, method: Method, message: Any, principal: str) -> Call:
        resource = self._emulator.place.owned(method.resource(message))
        return Call(
            service=method.service,
            operation=method.name,
            action=method.permission,
            principal=principal,
            resources=(resource,) if resource else (),
            body=Document(message),
            control=method.control,
        )

    def _take(self, method: Method, call: Call) -> None:
        """Draw on the allowance that methods of a kind share."""
        if method.kind == "other":
            return
        wait = self._emulator.quotas.take(replace(call, service=QUOTA, operation=method.kind))
        if wait:
            raise self._emulator.desk.wording.throttled(call, wait)
