"""Templates that are run in a resource group, for which Resource Manager has no door here: their resources are put.

After Microsoft.Resources/deployments and the description of a template's parts: a resource's `type` and `name` have
their segments in the same order, and what is deleted with the record of a run is the record alone. Only whole texts are
known: a template in which something must be worked out is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.names import group_of
from mlinfra.emulator.provisioning import Kind, Made, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_INCREMENTAL = "Incremental"
_OUTSIDE = frozenset({"type", "apiVersion", "name"})  # members that are no part of the resource's own document


def _create(cloud: Cloud, declared: Declared) -> Made:
    if declared.id in cloud.templates:
        raise Refused(f"cannot create already existing resource '{declared.id}'", exists=True)
    _run(cloud, declared)
    cloud.templates.add(declared.id)
    return Made(declared.id)


def _update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    _run(cloud, declared)
    return {}


def _run(cloud: Cloud, declared: Declared) -> None:
    properties = declared.inputs["properties"]
    if properties["mode"] != _INCREMENTAL:
        raise Refused(f"templates are run in mode {_INCREMENTAL} here, not {properties['mode']}")
    for each in properties["template"]["resources"]:
        document = {name: _said(value) for name, value in each.items()}
        body = {name: value for name, value in document.items() if name not in _OUTSIDE}
        cloud.put(_id(group_of(declared.id), document["type"], document["name"]), document["apiVersion"], body)


def _id(group: str, kind: str, name: str) -> str:
    provider, *collections = kind.split("/")
    path = "/".join(part for pair in zip(collections, name.split("/"), strict=True) for part in pair)
    return f"{group}/providers/{provider}/{path}"


def _said(value: Any) -> Any:
    """A value as the template means it: within brackets is an expression, but for two that begin it and mean one."""
    if isinstance(value, dict):
        return {name: _said(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_said(item) for item in value]
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        if not value.startswith("[["):
            raise Refused(f"an expression in a template, which is not played here: {value}")
        return value[1:]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    return {} if declared.id in cloud.templates else None


def _delete(cloud: Cloud, declared: Declared) -> None:
    cloud.templates.discard(declared.id)


KINDS: dict[str, Kind[Cloud]] = {"azure-native:resources:Deployment": Kind(_create, _delete, _read, _update)}
