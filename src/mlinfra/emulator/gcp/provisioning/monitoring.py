"""Alert policies and the channels that they tell. Their inputs have the names of the service's own members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.provisioning.kind import mask, relabelled, removed, told
from mlinfra.emulator.provisioning import Kind, Made

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_USER_LABELS = "userLabels"
_CONDITIONS = "conditions"
_POLICY = (
    "displayName",
    "combiner",
    _CONDITIONS,
    "notificationChannels",
    "alertStrategy",
    "documentation",
    "enabled",
    "severity",
    _USER_LABELS,
)
_CHANNEL = ("type", "displayName", "description", "labels", "enabled", _USER_LABELS)


def _path(_cloud: Cloud, declared: Declared) -> str:
    return f"/v3/{declared.id}"


def _kind(collection: str, members: tuple[str, ...]) -> Kind[Cloud]:
    def body(inputs: Inputs) -> dict[str, Any]:
        return {member: inputs[member] for member in members if inputs.get(member) is not None}

    def create(cloud: Cloud, declared: Declared) -> Made:
        made = cloud.call("POST", f"/v3/projects/{cloud.project}/{collection}", body(declared.inputs))
        return Made(made["name"], {"name": made["name"]})

    def update(cloud: Cloud, declared: Declared, before: Inputs) -> Mapping[str, Any]:
        path = _path(cloud, declared)
        labels = relabelled(cloud.call("GET", path), declared.inputs, before, _USER_LABELS)
        changed = {**body(declared.inputs), _USER_LABELS: labels}
        cloud.call("PATCH", path, changed, updateMask=mask({**changed, **dict.fromkeys(before.keys() & set(members))}))
        return {}

    return Kind(create, removed(_path), _reader(members), update)


def _reader(members: tuple[str, ...]) -> Callable[[Cloud, Declared], Mapping[str, Any] | None]:
    def read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
        now = cloud.found(_path(cloud, declared))
        if now is None:
            return None
        if _CONDITIONS in members:
            now = {**now, _CONDITIONS: [_nameless(each) for each in now.get(_CONDITIONS) or []]}
        return told(now, declared.inputs, *members)

    return read


def _nameless(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition without the name that the service gave it."""
    return {member: value for member, value in condition.items() if member != "name"}


KINDS: dict[str, Kind[Cloud]] = {
    "gcp:monitoring/alertPolicy:AlertPolicy": _kind("alertPolicies", _POLICY),
    "gcp:monitoring/notificationChannel:NotificationChannel": _kind("notificationChannels", _CHANNEL),
}
