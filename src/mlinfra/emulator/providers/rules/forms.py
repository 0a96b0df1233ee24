"""One kind of resource as data: which input names it, what its id and computed outputs are, what replaces it.

Templates are filled from the resource's own inputs and from `facts`; what is missing fills in as nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.shapes import Scalar
from mlinfra.emulator.providers.values import is_unknown

_TEXT = Scalar("string")
_DIGITS = 17  # of the hexadecimal ids that clouds give


@dataclass(frozen=True)
class Form:
    """One kind of resource.

    `named_by` is the input that carries its name and is made up where it is absent; empty: it has no name.
    """

    named_by: str = "name"
    id: str = "{name}"
    outputs: Mapping[str, Any] = field(default_factory=dict)
    replaced_by: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Resource:
    """A resource about to be made: its inputs without wrappings, and the provider's configuration."""

    token: str
    logical: str
    inputs: Mapping[str, Any]
    config: Mapping[str, Any]


Function = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Package:
    """One provider package.

    `replaced_by` are inputs whose change replaces a resource of any kind; `delete_first`: the old one goes before the
    new one comes whatever its name is. `nested`: ids are paths, and what lies in a resource goes with it. `facts` tells
    what ids and outputs are made of, beside the inputs. `told_back` gives inputs the shape in which the provider tells
    them back.
    """

    name: str
    forms: Mapping[str, Form]
    default: Callable[[str], Form]
    facts: Callable[[Resource], Mapping[str, Any]]
    functions: Mapping[str, Function]
    required: tuple[str, ...] = ()
    replaced_by: frozenset[str] = frozenset()
    told_back: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    delete_first: bool = False
    nested: bool = False

    def form(self, token: str) -> Form:
        """The form of a resource's kind; one that the table does not know follows the package's pattern."""
        return self.forms.get(token) or self.default(token)


def digest(*parts: Any) -> str:
    """Hexadecimal digits that are the same for the same parts."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def stable_uuid(*parts: Any) -> str:
    """A UUID that is the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(map(str, parts))))


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def filled(template: Any, facts: Mapping[str, Any]) -> Any:
    """A template with its facts; containers at every depth, other values as they are."""
    if isinstance(template, str):
        return template.format_map(_Facts(facts))
    if isinstance(template, dict):
        return {name: filled(item, facts) for name, item in template.items()}
    if isinstance(template, list):
        return [filled(item, facts) for item in template]
    return template


def identity(package: Package, resource: Resource) -> str:
    """The id of a resource about to be made: the same for the same inputs and logical name."""
    form = package.form(resource.token)
    return str(filled(form.id, _facts(package, resource, form))) or f"{resource.logical}-{_mark(resource)[:8]}"


def computed(package: Package, resource: Resource, native_id: str) -> dict[str, Any]:
    """The outputs that are no inputs of this resource.

    By the table; of the rest every plain text, so that what is built on it has something to hold.
    """
    form = package.form(resource.token)
    facts = {**_facts(package, resource, form), "id": native_id}
    declared = introspect.outputs(resource.token)
    known = introspect.members(introspect.arguments_class(resource.token))
    texts = {
        name: f"{name}-{digest(native_id, name)[:8]}"
        for name, shapes in declared.items()
        if shapes == (_TEXT,) and name not in known
    }
    told = {**texts, **filled(dict(form.outputs), facts)}
    return {name: value for name, value in told.items() if name in declared and resource.inputs.get(name) is None}


def _facts(package: Package, resource: Resource, form: Form) -> dict[str, Any]:
    mark = _mark(resource)
    given = {name: value for name, value in resource.inputs.items() if value is not None and not is_unknown(value)}
    name = given.get(form.named_by) if form.named_by else None
    return {
        **package.facts(resource),
        **given,
        "name": name or resource.logical,
        "logical": resource.logical,
        "digits": mark[:_DIGITS],
        "uuid": stable_uuid(mark),
    }


def _mark(resource: Resource) -> str:
    return digest(resource.token, resource.logical, sorted(resource.inputs.items(), key=lambda pair: pair[0]))
