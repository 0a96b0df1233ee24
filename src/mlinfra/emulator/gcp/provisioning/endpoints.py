"""Shells of endpoints. What is deployed in them and how the traffic is split is not the provider's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.provisioning.kind import LABELS, mask, relabelled, told
from mlinfra.emulator.provisioning import Kind, Made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_CHANGEABLE = ("displayName", "description")
_FIXED = ("dedicatedEndpointEnabled", "encryptionSpec", "network")
_PRIVATE = "privateServiceConnectConfig"

_SINGULAR = {"projectAllowlists": "projectAllowlist"}  # the provider has the plural of a member that is a list


def _create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    body = {member: inputs.get(member) for member in (*_CHANGEABLE, *_FIXED, LABELS)}
    if private := inputs.get(_PRIVATE):
        body[_PRIVATE] = {_SINGULAR.get(member, member): value for member, value in private.items()}
    parent = f"/v1/projects/{cloud.project}/locations/{inputs['location']}/endpoints"
    cloud.finished(cloud.call("POST", parent, body, endpointId=inputs["name"]))
    now = cloud.call("GET", _path(declared))
    return Made(declared.id, {"dedicatedEndpointDns": now.get("dedicatedEndpointDns", "")})


def _update(cloud: Cloud, declared: Declared, before: Inputs) -> Mapping[str, Any]:
    labels = relabelled(cloud.call("GET", _path(declared)), declared.inputs, before)
    body = {**{member: declared.inputs.get(member, "") for member in _CHANGEABLE}, LABELS: labels}
    cloud.call("PATCH", _path(declared), body, updateMask=mask(body))
    return {}


def _read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    now = cloud.found(_path(declared))
    return None if now is None else told(now, declared.inputs, LABELS, *_CHANGEABLE)


def _delete(cloud: Cloud, declared: Declared) -> None:
    if operation := cloud.gone(_path(declared)):
        cloud.finished(operation)


def _path(declared: Declared) -> str:
    return f"/v1/{declared.id}"


KINDS: dict[str, Kind[Cloud]] = {"gcp:vertex/aiEndpoint:AiEndpoint": Kind(_create, _delete, _read, _update)}
