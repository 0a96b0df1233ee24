"""The `local` stack and the base of all components, without an engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc, set_mocks
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

from mlinfra.emulator.providers.mocks import event_loop
from mlinfra.environment import parse
from mlinfra.infra.component import Component
from mlinfra.infra.configuration import read
from mlinfra.infra.environment import described
from mlinfra.infra.local.configuration import LocalConfiguration
from mlinfra.infra.local.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER, BUCKET = "pulumi-python:dynamic/mlinfra:Folder", "pulumi-python:dynamic/mlinfra:Bucket"


@dataclass
class Seen:
    """What a program registered: every request by the resource's name, and what it exported."""

    requests: dict[str, Any] = field(default_factory=dict)
    exported: Any = None

    def parent(self, name: str) -> str:
        return str(self.requests[name].parent).rpartition("::")[2]


class Answers(mocks.Mocks):
    """What the host would say; in a preview nothing is known yet."""

    def __init__(self, *, preview: bool) -> None:
        self._preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        made = {"account": "local-0123", "uri": f"file:///x/{args.name}"}
        known = dict.fromkeys(made, rpc.UNKNOWN) if self._preview else made
        return args.name, {**args.inputs, **known}

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:
        raise NotImplementedError(args.token)


class Monitor(mocks.MockMonitor):
    """Keeps whole requests: options are not among what mocks are told."""

    def __init__(self, seen: Seen, *, preview: bool) -> None:
        super().__init__(Answers(preview=preview))
        self._seen = seen

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the protocol's name
        if request.type != "pulumi:pulumi:Stack":
            assert request.name not in self._seen.requests, "two resources of one name"
            self._seen.requests[request.name] = request
        return super().RegisterResource(request)


def run(program: Callable[[], pulumi.Output[Any] | None], *, preview: bool = False) -> Seen:
    seen = Seen()
    asyncio.set_event_loop(event_loop())
    set_mocks(
        Answers(preview=preview), project="mlinfra", stack="s", preview=preview, monitor=Monitor(seen, preview=preview)
    )
    SETTINGS.rpc_manager.clear()
    SETTINGS.outputs.clear()

    async def body() -> None:
        output = program()
        if output is not None:
            seen.exported = await output.future() if await output.is_known() else None

    _sync_await(run_pulumi_func(lambda: pulumi.Output.from_input(body())))
    return seen


def configured(**values: Any) -> LocalConfiguration:
    return read(LocalConfiguration, {"platform": "local", **values}, stack="some-dev")


def stand(*, preview: bool = False, **values: Any) -> Seen:
    return run(lambda: LocalStack("some-dev", configured(**values)).export(), preview=preview)


def test_exactly_these_resources_with_these_parents_and_inputs():
    seen = stand(slots=3, folder="/srv/risk")
    assert {name: (request.type, seen.parent(name)) for name, request in seen.requests.items()} == {
        "some-dev": ("mlinfra:local:Stack", "mlinfra-s"),
        "some-dev-folder": (FOLDER, "some-dev"),
        "some-dev-artefacts": (BUCKET, "some-dev"),
        "some-dev-data": (BUCKET, "some-dev"),
    }
    inputs = rpc.deserialize_properties(seen.requests["some-dev-folder"].object)
    given = {name: inputs[name] for name in ("root", "slots", "owner", "adopt")}
    assert given == {"root": "/srv/risk", "slots": 3, "owner": "mlinfra/s", "adopt": False}
    bucket = rpc.deserialize_properties(seen.requests["some-dev-data"].object)
    assert (bucket["root"], bucket["bucket"], bucket["destroy_contents"]) == ("/srv/risk", "data", True)


def test_what_it_exports_is_an_environment():
    environment = parse(stand(folder="/srv/risk", tags={"Team": "Risk"}).exported)
    assert environment.as_document() == {
        "schema_version": 1,
        "platform": "local",
        "name": "some-dev",
        "root": "/srv/risk",
        "account": "local-0123",
        "tags": {"Team": "Risk"},
        "lifetimes": {"endpoint": 28_800, "capture": 14 * 86_400},
        "stores": {
            "artefacts": {"uri": "file:///x/some-dev-artefacts"},
            "data": {"uri": "file:///x/some-dev-data"},
        },
    }


def test_a_preview_registers_the_same_while_nothing_is_known():
    known, unknown = stand(), stand(preview=True)
    assert list(unknown.requests) == list(known.requests)
    assert unknown.exported is None


@pytest.mark.parametrize(("stage", "protected"), [("dev", False), ("staging", False), ("prod", True)])
def test_prod_protects_what_cannot_be_made_again(stage: str, protected: bool):  # noqa: FBT001  a case of the table
    seen = stand(stage=stage)
    assert {name: seen.requests[name].protect for name in ("some-dev-folder", "some-dev-data")} == {
        "some-dev-folder": protected,
        "some-dev-data": protected,
    }
    assert (seen.exported.get("protected", False), seen.exported.get("stage", "dev")) == (protected, stage)


def test_an_adopted_folder_is_marked_as_such():
    seen = stand(adopt={"folder": "/srv/old"})
    inputs = rpc.deserialize_properties(seen.requests["some-dev-folder"].object)
    assert (inputs["root"], inputs["adopt"]) == ("/srv/old", True)


@pytest.mark.parametrize(("values", "stays"), [({"adopt": {"folder": "/srv/old"}}, True), ({}, False)])
def test_the_buckets_of_an_adopted_folder_stay_in_it(values: dict[str, Any], stays: bool):  # noqa: FBT001  a case
    seen = stand(**values)
    assert {bool(seen.requests[f"some-dev-{each}"].retainOnDelete) for each in ("artefacts", "data")} == {stays}


def test_options_of_a_component_reach_its_children():
    def program() -> None:
        first = pulumi.ComponentResource("test:index:First", "first")
        options = pulumi.ResourceOptions(
            depends_on=[first], retain_on_delete=True, custom_timeouts=pulumi.CustomTimeouts(create="5m"), protect=True
        )
        LocalStack("some-dev", configured(), options)

    seen = run(program)
    for name in ("some-dev-folder", "some-dev-data"):
        request = seen.requests[name]
        assert request.retainOnDelete
        assert request.protect
        assert request.customTimeouts.create == "5m"


def test_a_childs_own_options_come_over_the_inherited_ones():
    def program() -> None:
        parent = Component("local:Test", "parent", configured())
        pulumi.ComponentResource("test:index:Child", "child", None, parent.child(pulumi.ResourceOptions(protect=True)))
        parent.finish()

    seen = run(program)
    assert seen.parent("child") == "parent"
    assert seen.requests["child"].protect


def test_a_secret_never_gets_into_an_environment():
    def program() -> pulumi.Output[Any]:
        return described(configured(), root="/srv/risk", native={"password": pulumi.Output.secret("hunter2")})

    with pytest.raises(pulumi.RunError, match="holds a secret") as caught:
        run(program)
    assert "hunter2" not in str(caught.value)


def test_a_document_that_is_no_environment_fails_the_program():
    with pytest.raises(pulumi.RunError, match="absolute path"):
        run(lambda: described(configured(), root="relative"))
