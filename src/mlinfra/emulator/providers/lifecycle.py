"""A resource's life, without the wire: named and checked, compared, made, changed, read, removed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.check import Finding, check_resource
from mlinfra.emulator.providers.rules.forms import Package, Resource, computed, identity
from mlinfra.emulator.providers.state import Kept, State
from mlinfra.emulator.providers.values import UNKNOWN, holds_unknown, plain
from mlinfra.emulator.provisioning import Declared
from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.emulator.provisioning import Provisioner

_SHORT = 7  # hexadecimal digits that make a name unique, as the engine's own


class Exists(Exception):
    """Something of that id is there already."""


class Gone(Exception):
    """There is nothing of that id."""


@dataclass(frozen=True)
class Naming:
    """How the engine wants a nameless resource to be called: its proposal, or that none may be made up."""

    logical: str
    seed: bytes
    proposed: str = ""
    forbidden: bool = False


@dataclass(frozen=True)
class Difference:
    """What changed of the inputs, and which of it asks for another resource."""

    changed: Mapping[str, Literal["add", "delete", "update"]] = field(default_factory=dict)
    replaces: frozenset[str] = frozenset()
    delete_first: bool = False  # the new one would have the old one's name, or the provider knows no other order


class Lifecycle:
    """The resources of one package. `provisioner` is the cloud in which part of them exist."""

    def __init__(self, package: Package, state: State, provisioner: Provisioner | None = None) -> None:
        self._package = package
        self._state = state
        self._provisioner = provisioner

    def check(
        self, token: str, news: Mapping[str, Any], olds: Mapping[str, Any], naming: Naming
    ) -> tuple[dict[str, Any], list[Finding]]:
        """The inputs with a name made up where one is needed, and what is wrong with them."""
        return checked(self._package, token, news, olds, naming)

    def compare(
        self, token: str, old: Mapping[str, Any], news: Mapping[str, Any], ignored: Iterable[str]
    ) -> Difference:
        """What leads from the old inputs to the new ones."""
        new = {**news}
        for name in ignored:
            new.pop(name, None)
            if name in old:
                new[name] = old[name]
        form = self._package.form(token)
        force = {*form.replaced_by, *self._package.replaced_by}
        found = compared(old, new, force, named_by=form.named_by)
        return replace(found, delete_first=True) if self._package.delete_first and found.replaces else found

    def compare_config(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
        """What leads from one configuration of a provider to another."""
        return compared(dict(old), dict(new), {*self._package.replaced_by, *self._package.required})

    def preview(self, resource: Resource, wrapped: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of a resource before it is made: the inputs; outputs that it will choose are unknown."""
        told = self._package.told_back(wrapped)
        return {**dict.fromkeys(computed(self._package, resource, ""), UNKNOWN), **told}

    def create(self, resource: Resource, wrapped: Mapping[str, Any]) -> Kept:
        """Make it.

        Raises:
            Exists: there is one of that id.
            Refused: the cloud's error.
        """
        native_id = identity(self._package, resource)
        if self._state.get(resource.token, native_id):
            raise Exists(f"{resource.token} {native_id} already exists")
        chosen: Mapping[str, Any] = {}
        if cloud := self._cloud(resource.token):
            expected = computed(self._package, resource, native_id)
            made = cloud.create(Declared(resource.token, resource.inputs, native_id, expected))
            native_id, chosen = made.id, made.outputs
        outputs = {
            **computed(self._package, resource, native_id),
            **self._package.told_back(wrapped),
            **chosen,
        }
        kept = Kept(resource.token, native_id, dict(wrapped), outputs)
        self._state.put(kept)
        return kept

    def update(self, resource: Resource, native_id: str, wrapped: Mapping[str, Any]) -> Kept:
        """Change it in place.

        Raises:
            Gone: there is none of that id.
            Refused: the cloud's error.
        """
        known = self._state.get(resource.token, native_id)
        if known is None:
            raise Gone(f"{resource.token} {native_id} was not found")
        chosen: Mapping[str, Any] = {}
        if cloud := self._cloud(resource.token):
            declared = Declared(resource.token, resource.inputs, native_id, known.outputs)
            chosen = cloud.update(declared, plain(known.inputs))
        kept_outputs = {name: value for name, value in known.outputs.items() if name not in known.inputs}
        outputs = {
            **computed(self._package, resource, native_id),
            **kept_outputs,
            **self._package.told_back(wrapped),
            **chosen,
        }
        kept = Kept(resource.token, native_id, dict(wrapped), outputs)
        self._state.put(kept)
        return kept

    def read(
        self,
        token: str,
        native_id: str,
        config: Mapping[str, Any] | None = None,
        recorded: Mapping[str, Any] | None = None,
    ) -> Kept | None:
        """It as it is now, in the cloud where that knows it; None where it is gone.

        What the cloud has and no stack made is told as well, for somebody to adopt. `config` is the provider's;
        `recorded` are the inputs in the engine's state: with them it is the stack's own, whose create was cut short.
        """
        known = self._state.get(token, native_id)
        cloud = self._cloud(token)
        if cloud is None:
            return known
        if known is None:
            found = self._strangers(cloud, token, native_id, config or {}, recorded or {})
            if found and recorded:
                self._state.put(found)
            return found
        now = cloud.read(Declared(token, plain(known.inputs), native_id, known.outputs))
        if now is None:
            self._state.remove(token, native_id)
            return None
        drifted = {name: value for name, value in now.items() if plain(known.inputs.get(name)) != value}
        return Kept(token, native_id, {**known.inputs, **drifted}, {**known.outputs, **drifted})

    def delete(self, token: str, native_id: str) -> None:
        """Remove it and what lies in it; nothing where it is gone. Refused is the cloud's error."""
        known = self._state.get(token, native_id)
        cloud = self._cloud(token)
        if known and cloud:
            cloud.delete(Declared(token, plain(known.inputs), native_id, known.outputs))
        inside = [each for each in self._state.all() if each.id.startswith(f"{native_id}/")]
        for each in inside if self._package.nested else ():
            self._state.remove(each.token, each.id)
        self._state.remove(token, native_id)

    def _strangers(
        self,
        cloud: Provisioner,
        token: str,
        native_id: str,
        config: Mapping[str, Any],
        recorded: Mapping[str, Any],
    ) -> Kept | None:
        """What somebody else made in the cloud; an id ends with the name."""
        named_by = self._package.form(token).named_by
        inputs: dict[str, Any] = {named_by: native_id.rpartition("/")[2]} if named_by else {}
        found = cloud.read(Declared(token, {**inputs, **plain(recorded)}, native_id))
        if found is None:
            return None
        told = {**inputs, **recorded, **found}
        taken = introspect.members(introspect.arguments_class(token))
        given = {name: value for name, value in told.items() if name in taken}
        chosen = computed(self._package, Resource(token, "", given, config), native_id)
        return Kept(token, native_id, given, {**chosen, **told})

    def _cloud(self, token: str) -> Provisioner | None:
        """The cloud in which resources of this type exist; None where they are in the state alone."""
        return self._provisioner if self._provisioner and self._provisioner.knows(token) else None


def checked(
    package: Package, token: str, news: Mapping[str, Any], olds: Mapping[str, Any], naming: Naming
) -> tuple[dict[str, Any], list[Finding]]:
    """The inputs of a resource with a name made up where one is needed, and what is wrong with them."""
    try:
        introspect.resource_class(token)
    except NotFound:
        return dict(news), [Finding("", f"{token} is no resource of {package.name}")]
    named = _named(package, token, news, olds, naming)
    return named, check_resource(token, named)


def _named(
    package: Package, token: str, news: Mapping[str, Any], olds: Mapping[str, Any], naming: Naming
) -> dict[str, Any]:
    name = package.form(token).named_by
    known = introspect.members(introspect.arguments_class(token))
    if name not in known or news.get(name) is not None or news.get("namePrefix") is not None or naming.forbidden:
        return dict(news)
    if olds.get(name) is not None:
        return {**news, name: olds[name]}
    made_up = f"{naming.logical}-{hashlib.sha256(naming.seed).hexdigest()[:_SHORT]}"
    return {**news, name: naming.proposed or made_up}


def compared(old: Mapping[str, Any], new: Mapping[str, Any], force: set[str], *, named_by: str = "") -> Difference:
    """What leads from some inputs to others. Secrets are compared by what they hold."""
    changed: dict[str, Literal["add", "delete", "update"]] = {}
    for name in sorted({*old, *new}):
        if name.startswith("__") or _same(old.get(name), new.get(name)):
            continue
        changed[name] = "add" if name not in old else "delete" if name not in new else "update"
    replaces = frozenset(changed) & force
    keeps_name = bool(named_by) and named_by in new and _same(old.get(named_by), new.get(named_by))
    return Difference(changed, replaces, delete_first=bool(replaces) and keeps_name)


def _same(one: Any, other: Any) -> bool:
    if holds_unknown(other):
        return False
    return json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True)
