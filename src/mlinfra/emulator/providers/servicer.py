"""Pulumi's provider protocol over a `Lifecycle`: what the engine asks, answered as a provider would.

Source: the comments of `provider.proto` in the SDK, and the engine's own use of each call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from mlinfra.emulator.calls import Call
from mlinfra.emulator.providers.lifecycle import Difference, Exists, Gone, Lifecycle, Naming
from mlinfra.emulator.providers.rules.forms import Package, Resource
from mlinfra.emulator.providers.values import plain
from mlinfra.emulator.provisioning import Refused

if TYPE_CHECKING:
    from mlinfra.emulator.faults import Fault, Faults
    from mlinfra.emulator.providers.state import State

_GLANCE = 0.05  # s between two looks whether the engine still waits
_KINDS = provider_pb2.PropertyDiff.Kind
_WIRE_KINDS = {
    ("add", False): _KINDS.ADD,
    ("add", True): _KINDS.ADD_REPLACE,
    ("delete", False): _KINDS.DELETE,
    ("delete", True): _KINDS.DELETE_REPLACE,
    ("update", False): _KINDS.UPDATE,
    ("update", True): _KINDS.UPDATE_REPLACE,
}


class Servicer(provider_pb2_grpc.ResourceProviderServicer):  # type: ignore[misc, unused-ignore]  # generated code
    """One package. Several providers of a program share it; the configuration in force is the last one given."""

    def __init__(self, package: Package, version: str, state: State, lifecycle: Lifecycle, faults: Faults) -> None:
        self._package = package
        self._version = version
        self._state = state
        self._lifecycle = lifecycle
        self._faults = faults
        self._config: dict[str, Any] = {}

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        """What this provider understands."""
        del request, context
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The engine found us by its environment; there is nothing to set up."""
        del request, context
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The version of the installed package, so that the engine does not warn."""
        del request, context
        return plugin_pb2.PluginInfo(version=self._version)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The engine's run is over; this server outlives it."""
        del request, context
        return empty_pb2.Empty()

    def GetMapping(self, request: Any, context: Any) -> Any:  # noqa: N802
        """None: nothing is converted from another tool."""
        del request, context
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request: Any, context: Any) -> Any:  # noqa: N802
        """None."""
        del request, context
        return provider_pb2.GetMappingsResponse()

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether what the provider cannot do without is configured."""
        del context
        news = _document(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"set {self._package.name}:{name} in the configuration")
            for name in self._package.required
            if not news.get(name)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Another place or account is another provider, with everything that it holds."""
        del context
        old = _document(request.old_inputs) or _document(request.olds)
        return _difference(self._lifecycle.compare_config(old, _document(request.news)))

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the configuration."""
        del context
        self._config = {**plain(_document(request.args))}
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Inputs with names made up, and everything that is wrong with them."""
        del context
        modes = provider_pb2.CheckRequest.AutonamingOptions
        token = request.type or request.urn.split("::")[2].rpartition("$")[2]
        naming = Naming(
            logical=request.name or request.urn.rpartition("::")[2],
            seed=request.randomSeed,
            proposed=request.autonaming.proposed_name,
            forbidden=request.HasField("autonaming") and request.autonaming.mode == modes.DISABLE,
        )
        inputs, findings = self._lifecycle.check(token, _document(request.news), _document(request.olds), naming)
        failures = [provider_pb2.CheckFailure(property=each.path, reason=each.reason) for each in findings]
        return provider_pb2.CheckResponse(inputs=_struct(inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What changes, and whether it needs another resource."""
        del context
        old = _document(request.old_inputs)
        return _difference(self._lifecycle.compare(request.type, old, _document(request.news), request.ignoreChanges))

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Make it; in a preview, tell what is known of it."""
        wrapped = _document(request.properties)
        resource = Resource(request.type, request.name, plain(wrapped), self._config)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(self._lifecycle.preview(resource, wrapped)))
        with self._call("Create", resource.token, resource.logical, context):
            kept = self._attempt(context, lambda: self._lifecycle.create(resource, wrapped))
        return provider_pb2.CreateResponse(id=kept.id, properties=_struct(kept.outputs))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change it in place."""
        wrapped = _document(request.news)
        resource = Resource(request.type, request.name, plain(wrapped), self._config)
        if request.preview:
            return provider_pb2.UpdateResponse(
                properties=_struct({**_document(request.olds), **self._lifecycle.preview(resource, wrapped)})
            )
        with self._call("Update", resource.token, request.id, context):
            kept = self._attempt(context, lambda: self._lifecycle.update(resource, request.id, wrapped))
        return provider_pb2.UpdateResponse(properties=_struct(kept.outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """It as it is now; an empty id says that it is gone."""
        with self._call("Read", request.type, request.id, context):
            kept = self._attempt(
                context, lambda: self._lifecycle.read(request.type, request.id, self._config, _document(request.inputs))
            )
        if kept is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=kept.id, inputs=_struct(kept.inputs), properties=_struct(kept.outputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Remove it."""
        with self._call("Delete", request.type, request.id, context):
            self._attempt(context, lambda: self._lifecycle.delete(request.type, request.id))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A look-up; one that is not in the table is refused by name, never answered with nothing."""
        del context
        self._state.note("Invoke", request.tok)
        function = self._package.functions.get(request.tok)
        if function is None:
            reason = f"the stand-in provider has no answer for {request.tok}"
            return provider_pb2.InvokeResponse(failures=[provider_pb2.CheckFailure(reason=reason)])
        answer = function(plain(_document(request.args)), self._config)
        return provider_pb2.InvokeResponse(**{"return": _struct(answer)})

    def _call(self, rpc: str, token: str, subject: str, context: Any) -> _Scripted:
        self._state.note(rpc, token, subject)
        call = Call(self._package.name, rpc, resources=(subject,), body={"type": token, "name": subject})
        return _Scripted(self._faults.striking(call), context)

    @staticmethod
    def _attempt(context: Any, act: Any) -> Any:
        try:
            return act()
        except Exists as exc:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, str(exc))
        except Gone as exc:
            context.abort(grpc.StatusCode.NOT_FOUND, str(exc))
        except Refused as exc:
            context.abort(grpc.StatusCode.ALREADY_EXISTS if exc.exists else grpc.StatusCode.UNKNOWN, str(exc))


class _Scripted:
    """What the script of faults does around one call."""

    def __init__(self, struck: list[Fault], context: Any) -> None:
        self._struck = struck
        self._context = context

    def __enter__(self) -> None:
        self._strike("before")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._strike("after")

    def _strike(self, when: str) -> None:
        for fault in self._struck:
            if fault.when != when:
                continue
            if fault.do == "delay":
                self._wait(fault.seconds)
            else:
                self._fail(fault)

    def _wait(self, seconds: float) -> None:
        """Stand still. A plugin ends with its engine: what it had not begun by then never happens."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._context.is_active():
            time.sleep(min(_GLANCE, max(0.0, end - time.monotonic())))
        if not self._context.is_active():
            self._context.abort(grpc.StatusCode.CANCELLED, "the engine is gone")

    def _fail(self, fault: Fault) -> NoReturn:
        code = grpc.StatusCode.UNAVAILABLE if fault.do == "cut" else grpc.StatusCode.UNKNOWN
        self._context.abort(code, fault.message or f"the provider failed: {fault.code}")
        raise AssertionError


def _difference(found: Difference) -> Any:
    detailed = {
        name: provider_pb2.PropertyDiff(kind=_WIRE_KINDS[kind, name in found.replaces], inputDiff=True)
        for name, kind in found.changed.items()
    }
    changes = provider_pb2.DiffResponse.DiffChanges
    return provider_pb2.DiffResponse(
        changes=changes.DIFF_SOME if found.changed else changes.DIFF_NONE,
        diffs=list(found.changed),
        replaces=sorted(found.replaces),
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=found.delete_first,
    )


def _document(struct: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(struct)
    return found


def _struct(document: Any) -> Any:
    return json_format.ParseDict(document, struct_pb2.Struct())
