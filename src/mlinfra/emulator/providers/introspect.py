"""What the installed provider packages say of their resources: classes, inputs, types, constants, outputs.

The packages are generated; what is relied on here is their pattern, looked up in pulumi 3.272, pulumi-aws 7.51,
pulumi-gcp 10.2 and pulumi-azure-native 3.29: the JSON table of resources in each package's `__init__`, classes of
arguments whose properties carry the wire names, and constants of unions written as literals into their constructors.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import json
import re
import sys
import types
import typing
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any

import pulumi

from mlinfra.emulator.providers.shapes import Anything, Enumerated, ListOf, MapOf, Member, ObjectOf, Scalar, Shape
from mlinfra.errors import NotFound

MODULES = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure-native": "pulumi_azure_native"}
_TABLE = re.compile(r'resource_modules="""\n(?P<rows>.*?)"""', re.DOTALL)
_CONSTANT = re.compile(r"pulumi\.set\(__self__, \"(?P<name>\w+)\", '(?P<value>[^']*)'\)")
_SCALARS: dict[type, Scalar] = {
    str: Scalar("string"),
    bool: Scalar("bool"),
    int: Scalar("integer"),
    float: Scalar("number"),
}
_ABSENT = {"id", "urn", "pulumi_resource_name", "pulumi_resource_type"}
_lock = RLock()  # the packages' modules are imported from many threads, and import each other


def package_of(token: str) -> str:
    """The package that a resource's type belongs to: `aws` of `aws:s3/bucket:Bucket`."""
    return token.partition(":")[0]


@cache
def resources(package: str) -> dict[str, tuple[str, str]]:
    """Type token → module and class. Imports nothing of the package.

    Raises:
        NotFound: the package is none of ours, or is not installed.
    """
    spec = find_spec(MODULES[package]) if package in MODULES else None
    if spec is None or spec.origin is None:
        raise NotFound(
            "no provider package of that name is installed",
            given=package,
            allowed=", ".join(MODULES),
            todo=f"pip install 'mlinfra-kit[infra-{package.removesuffix('-native')}]'",
        )
    found = _TABLE.search(Path(spec.origin).read_text())
    rows = json.loads(found["rows"]) if found else []
    return {token: (row["fqn"], name) for row in rows for token, name in row["classes"].items()}


@cache
def resource_class(token: str) -> type:
    """The class that makes a resource of this type.

    Raises:
        NotFound: the package has no such resource.
    """
    known = resources(package_of(token))
    if token not in known:
        raise NotFound("no such resource", given=token)
    module, name = known[token]
    with _lock:
        found: type = getattr(import_module(module), name)
    return found


@cache
def arguments_class(token: str) -> type:
    """The class of the resource's own arguments.

    It is looked up in the class's own file: a nested type of another resource may have the same name in the package,
    in which case this one is called `…InitArgs`.
    """
    made = resource_class(token)
    own = sys.modules[made.__module__]
    found: type = getattr(own, f"{made.__name__}InitArgs", None) or getattr(own, f"{made.__name__}Args")
    return found


@cache
def members(arguments: type) -> dict[str, Member]:
    """The inputs that a class of arguments declares, by their names on the wire."""
    with _lock:
        constructor = vars(arguments)["__init__"]
        hints = _hints(constructor)
        found = {}
        for parameter in list(inspect.signature(constructor).parameters.values())[1:]:
            wire = _wire_name(arguments, parameter.name)
            found[wire] = Member(
                wire,
                parameter.name,
                shapes(hints.get(parameter.name, Any)),
                required=parameter.default is inspect.Parameter.empty,
            )
        return found


@cache
def constants(arguments: type) -> dict[str, str]:
    """The members whose value tells which of a union's classes an object is."""
    names = {member.python: member.wire for member in members(arguments).values()}
    source = inspect.getsource(vars(arguments)["__init__"])
    return {names.get(found["name"], found["name"]): found["value"] for found in _CONSTANT.finditer(source)}


@cache
def outputs(token: str) -> dict[str, tuple[Shape, ...]]:
    """The outputs of a resource by their names on the wire, inputs that are told back among them."""
    made = resource_class(token)
    with _lock:
        getters = {name: each.fget for name, each in vars(made).items() if isinstance(each, property) and each.fget}
        return {
            _wire_name(made, name): shapes(_told(_hints(getter)["return"]))
            for name, getter in getters.items()
            if name not in _ABSENT
        }


def shapes(hint: Any) -> tuple[Shape, ...]:
    """The alternatives of a type hint; what only Python callers may write (outputs, typed dicts) is left out."""
    return tuple(dict.fromkeys(shape for each in _alternatives(hint) if (shape := _shape(each)) is not None))


def _told(hint: Any) -> Any:
    """What is inside an Output."""
    inside: Any = next(iter(typing.get_args(hint)), Any)
    return inside


def _alternatives(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return [each for option in typing.get_args(hint) for each in _alternatives(option)]
    return [hint]


def _shape(hint: Any) -> Shape | None:
    origin = typing.get_origin(hint)
    if origin in {list, collections.abc.Sequence}:
        return ListOf(shapes(typing.get_args(hint)[0]))
    if origin in {dict, collections.abc.Mapping}:
        return MapOf(shapes(typing.get_args(hint)[1]))
    if origin in {collections.abc.Awaitable, pulumi.Output} or hint is type(None) or typing.is_typeddict(hint):
        return None
    return _shape_of_class(hint) if inspect.isclass(hint) else Anything()


def _shape_of_class(hint: type) -> Shape:
    if issubclass(hint, enum.Enum):
        return Enumerated(tuple(each.value for each in hint))
    if hint in _SCALARS:
        return _SCALARS[hint]
    return ObjectOf(hint) if hint.__module__.startswith("pulumi_") else Anything()


def _hints(function: Any) -> dict[str, Any]:
    """A function's type hints.

    The local names are never empty: typing keeps one reference for `Input['SkuArgs']` of every module, and would
    resolve it to the class of whichever module asked first.
    """
    names = {**vars(sys.modules[function.__module__]), "Output": pulumi.Output, "T": Any}
    return typing.get_type_hints(function, names, {"__own": None})


def _wire_name(owner: type, name: str) -> str:
    getter = getattr(vars(owner).get(name), "fget", None)
    return getattr(getter, "_pulumi_name", None) or name
