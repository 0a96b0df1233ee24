"""Repositories of images, and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.provisioning.kind import LABELS, mask, relabelled, removed, told
from mlinfra.emulator.provisioning import Kind, Made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_DESCRIPTION = "description"


def _path(_cloud: Cloud, declared: Declared) -> str:
    return f"/v1/{declared.id}"


def _repository_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    location = inputs.get("location") or cloud.emulator.region
    body = {
        "format": inputs["format"],
        "mode": inputs.get("mode"),
        "kmsKeyName": inputs.get("kmsKeyName"),
        **_repository_changeable(inputs, inputs.get(LABELS) or {}),
    }
    parent = f"/v1/projects/{cloud.project}/locations/{location}/repositories"
    made = cloud.finished(cloud.call("POST", parent, body, repositoryId=inputs["repositoryId"]))
    return Made(str(made["name"]))


def _repository_update(cloud: Cloud, declared: Declared, before: Inputs) -> Mapping[str, Any]:
    path = _path(cloud, declared)
    labels = relabelled(cloud.call("GET", path), declared.inputs, before)
    body = _repository_changeable(declared.inputs, labels)
    cloud.call("PATCH", path, body, updateMask=mask(body))
    return {}


def _repository_changeable(inputs: Inputs, labels: Mapping[str, str]) -> dict[str, Any]:
    docker = inputs.get("dockerConfig")
    return {LABELS: dict(labels), _DESCRIPTION: inputs.get(_DESCRIPTION), "dockerConfig": docker}


def _repository_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    now = cloud.found(_path(cloud, declared))
    return None if now is None else told(now, declared.inputs, LABELS, _DESCRIPTION, "dockerConfig")


def _secret_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    body = {"replication": _replication(inputs["replication"]), LABELS: inputs.get(LABELS)}
    made = cloud.call("POST", f"/v1/projects/{cloud.project}/secrets", body, secretId=inputs["secretId"])
    return Made(declared.id, {"name": made["name"]})


def _replication(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The provider says `auto` where the service says `automatic`."""
    return {"automatic" if kind == "auto" else kind: value for kind, value in wanted.items()}


def _secret_update(cloud: Cloud, declared: Declared, before: Inputs) -> Mapping[str, Any]:
    path = _path(cloud, declared)
    labels = relabelled(cloud.call("GET", path), declared.inputs, before)
    cloud.call("PATCH", path, {LABELS: labels}, updateMask=LABELS)
    return {}


def _secret_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    now = cloud.found(_path(cloud, declared))
    return None if now is None else told(now, declared.inputs, LABELS)


KINDS: dict[str, Kind[Cloud]] = {
    "gcp:artifactregistry/repository:Repository": Kind(
        _repository_create, removed(_path), _repository_read, _repository_update
    ),
    "gcp:secretmanager/secret:Secret": Kind(_secret_create, removed(_path), _secret_read, _secret_update),
}
