"""Strict mocks for tests of Pulumi programs: no engine, yet a wrong input fails as it would with one.

Pulumi's own mocks accept any key and any type below the first level, resources of the same name, and answer what a
mock forgot with nothing. These check every input against the installed provider packages, refuse a second resource of
the same kind, name and parent, and give every output that a provider would.
"""

from __future__ import annotations

import asyncio
import atexit
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks, set_all_config, set_mocks
from pulumi.runtime.proto import provider_pb2, resource_pb2
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.lifecycle import Naming, checked
from mlinfra.emulator.providers.rules import PACKAGES
from mlinfra.emulator.providers.rules.forms import Resource, computed, identity
from mlinfra.emulator.providers.values import UNKNOWN, plain
from mlinfra.errors import NotFound, Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_PROVIDERS = "pulumi:providers:"
_STACK = "pulumi:pulumi:Stack"
_OUTPUTS_TO_AWAIT = "outputs"


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it. Names of inputs are those of the wire; secrets are revealed."""

    token: str
    name: str
    urn: str
    parent: str  # the parent's logical name; empty for the stack itself
    custom: bool
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    provider: str  # the logical name of an explicit provider, empty for the default one
    protect: bool
    retained: bool
    ignored: tuple[str, ...]
    depends_on: tuple[str, ...]  # logical names, inputs' own dependencies among them
    adopted: str  # the id of what existed before and is read, not made
    secret_inputs: tuple[str, ...]
    aliases: tuple[str, ...]  # the types that it had before


@dataclass
class Registrations:
    """Everything that a program registered, in its order, and what it exported."""

    all: list[Registered] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> Registered:
        """The one resource of that logical name; KeyError where there is none or more than one."""
        found = [each for each in self.all if each.name == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} resources are called {name}")
        return found[0]

    def of(self, token: str) -> list[Registered]:
        """The resources of a type."""
        return [each for each in self.all if each.token == token]

    def children(self, name: str) -> list[Registered]:
        """The resources whose parent has that logical name."""
        return [each for each in self.all if each.parent == name]

    def kinds(self, name: str) -> dict[str, int]:
        """How many children of which type a component has."""
        return dict(Counter(each.token for each in self.children(name)))


def run(
    program: Callable[[], Any],
    *,
    config: Mapping[str, str] | None = None,
    secrets: Iterable[str] = (),
    preview: bool = False,
    project: str = "mlinfra",
    stack: str = "test",
) -> Registrations:
    """Run a program against strict mocks. In a preview every computed output is unknown.

    `config` are the stack's keys with their namespaces: `{"aws:region": "eu-west-1"}`; `secrets` names those that are.

    Raises:
        SpecError: resources whose inputs their providers would refuse; holds every problem of every one.
        Exception: whatever the program itself raises.
    """
    given = dict(config or {})
    set_all_config({f"{key}" if ":" in key else f"{project}:{key}": value for key, value in given.items()}, [*secrets])
    monitor = StrictMonitor(given, preview=preview)
    asyncio.set_event_loop(event_loop())
    set_root_resource(None)  # type: ignore[arg-type]  # the SDK keeps the last program's stack for the next one
    set_mocks(monitor.mocks, project=project, stack=stack, preview=preview, monitor=monitor)
    SETTINGS.rpc_manager.clear()
    SETTINGS.outputs.clear()
    exported: dict[str, Any] = {}

    def body() -> None:
        program()
        root = pulumi.runtime.get_root_resource()
        exported.update(getattr(root, _OUTPUTS_TO_AWAIT, {}) if root else {})

    try:
        _sync_await(run_pulumi_func(body))
    finally:
        set_root_resource(None)  # type: ignore[arg-type]  # as above
    if monitor.problems:
        raise SpecError("a program whose resources their providers refuse", problems=monitor.problems)
    monitor.registrations.exports = {name: _known(value) for name, value in exported.items()}
    return monitor.registrations


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The loop of all runs in this process: the SDK would make one for the thread, which nobody closes."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def _known(value: Any) -> Any:
    """What an export holds; None where it is unknown."""

    async def resolved() -> Any:
        output = pulumi.Output.from_input(value)
        return await output.future() if await output.is_known() else None

    return _sync_await(resolved())


class _NoMocks(mocks.Mocks):  # type: ignore[misc, unused-ignore]
    """The monitor below answers everything; these are what `set_mocks` wants to be given."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise NotImplementedError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise NotImplementedError(args.typ)


class StrictMonitor(mocks.MockMonitor):  # type: ignore[misc, unused-ignore]
    """The engine's side of one program: checks, remembers, answers. One monitor a run."""

    def __init__(self, config: Mapping[str, str], *, preview: bool) -> None:
        super().__init__(_NoMocks())
        self.registrations = Registrations()
        self.problems: list[Problem] = []  # told when the program has ended, as an engine's diagnostics are
        self._config = config
        self._preview = preview
        self._names: dict[str, str] = {}  # urn → logical name

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the protocol's name
        """Check and remember a resource; answer as its provider would."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == _STACK:
            self._names[urn] = ""
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if urn in self._names:
            self.problems.append(Problem("two resources of the same type, parent and name", given=urn))
        return self._registered(urn, request)

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Remember a resource that is adopted by its id, and answer with what is known of it."""
        urn = self.make_urn(request.parent, request.type, request.name)
        state = json_format.MessageToDict(request.properties)
        package = PACKAGES[introspect.package_of(request.type)]
        resource = Resource(request.type, request.name, plain(state), self._provider_config(request.type))
        form = package.form(request.type)
        named = {form.named_by: request.id} if form.named_by else {}
        outputs = {**computed(package, resource, request.id), **named, **state}
        self._remember(urn, request, state, outputs, custom=True, adopted=request.id)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=_struct(outputs))

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """Answer a look-up from the table, or fail the program naming it."""
        package = PACKAGES.get(introspect.package_of(request.tok))
        function = package.functions.get(request.tok) if package else None
        if function is None:
            failure = provider_pb2.CheckFailure(reason=f"the mocks have no answer for {request.tok}")
            return resource_pb2.ResourceInvokeResponse(failures=[failure])
        answer = function(plain(json_format.MessageToDict(request.args)), self._provider_config(request.tok))
        return resource_pb2.ResourceInvokeResponse(**{"return": _struct(answer)})

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Take a component's outputs."""
        name = self._names.get(request.urn)
        for number, each in enumerate(self.registrations.all):
            if each.urn == request.urn and name is not None:
                outputs = plain(json_format.MessageToDict(request.outputs))
                self.registrations.all[number] = Registered(**{**vars(each), "outputs": outputs})
        return empty_pb2.Empty()

    def _registered(self, urn: str, request: Any) -> Any:
        wrapped = json_format.MessageToDict(request.object)
        if not request.custom or request.type.startswith(_PROVIDERS):
            native_id = f"{request.name}-id" if request.custom else ""
            self._remember(urn, request, wrapped, {}, custom=request.custom, adopted="")
            return resource_pb2.RegisterResourceResponse(urn=urn, id=native_id, object=request.object)
        package = PACKAGES.get(introspect.package_of(request.type))
        if package is None:
            raise NotFound("no mocks for this package", given=request.type, allowed=", ".join(PACKAGES))
        inputs, findings = checked(package, request.type, wrapped, {}, Naming(request.name, request.name.encode()))
        self.problems += [Problem(f"{request.name}: {each.reason}", each.path) for each in findings]
        resource = Resource(request.type, request.name, plain(inputs), self._provider_config(request.type))
        native_id = request.importId or identity(package, resource)
        told = package.told_back(inputs)
        chosen = computed(package, resource, native_id)
        outputs = {**(dict.fromkeys(chosen, UNKNOWN) if self._preview else chosen), **told}
        self._remember(urn, request, inputs, outputs, custom=True, adopted=request.importId)
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id="" if self._preview else native_id, object=_struct(outputs)
        )

    def _remember(
        self, urn: str, request: Any, inputs: dict[str, Any], outputs: Mapping[str, Any], *, custom: bool, adopted: str
    ) -> None:
        self._names[urn] = request.name
        provider_urn = request.provider.rpartition("::")[0]
        self.registrations.all.append(
            Registered(
                token=request.type,
                name=request.name,
                urn=urn,
                parent=self._names.get(request.parent, ""),
                custom=custom,
                inputs=plain(inputs),
                outputs=dict(outputs),
                provider=self._names.get(provider_urn, ""),
                protect=bool(getattr(request, "protect", False)),
                retained=bool(getattr(request, "retainOnDelete", False)),
                ignored=tuple(getattr(request, "ignoreChanges", ())),
                depends_on=tuple(sorted({self._names.get(each, each) for each in request.dependencies})),
                adopted=adopted,
                secret_inputs=tuple(sorted(name for name, value in inputs.items() if plain(value) != value)),
                aliases=tuple(sorted(each.spec.type for each in getattr(request, "aliases", ()) if each.spec.type)),
            )
        )

    def _provider_config(self, token: str) -> dict[str, Any]:
        """The configuration of the package's default provider."""
        prefix = f"{introspect.package_of(token)}:"
        return {key.removeprefix(prefix): value for key, value in self._config.items() if key.startswith(prefix)}


def _struct(document: Mapping[str, Any]) -> Any:
    return json_format.ParseDict(dict(document), struct_pb2.Struct())
