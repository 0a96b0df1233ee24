"""Buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlinfra.emulator.gcp.provisioning.kind import LABELS, relabelled, told
from mlinfra.emulator.provisioning import Kind, Made, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_BUCKETS = "/storage/v1/b"
_PAGE = "1000"


def _create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    body = {"name": inputs["name"], "location": inputs["location"], LABELS: inputs.get(LABELS), **_settings(inputs)}
    made = cloud.call("POST", _BUCKETS, body, project=cloud.project)
    return Made(made["name"])


def _update(cloud: Cloud, declared: Declared, before: Inputs) -> Mapping[str, Any]:
    now = cloud.call("GET", _path(declared))
    labels = relabelled(now, declared.inputs, before)
    dropped = dict.fromkeys(set(now.get(LABELS) or {}) - set(labels))
    cloud.call("PATCH", _path(declared), {LABELS: {**dropped, **labels}, **_settings(declared.inputs)})
    return {}


def _read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    now = cloud.found(_path(declared))
    if now is None:
        return None
    access = now.get("iamConfiguration") or {}
    soft = (now.get("softDeletePolicy") or {}).get("retentionDurationSeconds", 0)
    document = {
        **now,
        "uniformBucketLevelAccess": (access.get("uniformBucketLevelAccess") or {}).get("enabled", False),
        "publicAccessPrevention": access.get("publicAccessPrevention", "inherited"),
        "softDeletePolicy": {"retentionDurationSeconds": float(soft)},
    }
    members = (LABELS, "versioning", "uniformBucketLevelAccess", "publicAccessPrevention", "softDeletePolicy")
    return told(document, declared.inputs, *members)


def _delete(cloud: Cloud, declared: Declared) -> None:
    if declared.inputs.get("forceDestroy") and cloud.found(_path(declared)) is not None:
        _empty(cloud, _path(declared))
    cloud.gone(_path(declared))


def _empty(cloud: Cloud, bucket: str) -> None:
    while found := (cloud.found(f"{bucket}/o", maxResults=_PAGE) or {}).get("items"):
        for each in found:
            cloud.gone(f"{bucket}/o/{quote(each['name'], safe='')}")


def _settings(inputs: Inputs) -> dict[str, Any]:
    """What the inputs say, in the words of the JSON API."""
    key = (inputs.get("encryption") or {}).get("defaultKmsKeyName")
    soft = whole((inputs.get("softDeletePolicy") or {}).get("retentionDurationSeconds"))
    access = {
        "uniformBucketLevelAccess": {"enabled": bool(inputs.get("uniformBucketLevelAccess"))},
        "publicAccessPrevention": inputs.get("publicAccessPrevention") or "inherited",
    }
    return {
        "iamConfiguration": access,
        "versioning": inputs.get("versioning"),
        "encryption": {"defaultKmsKeyName": key} if key else None,
        "softDeletePolicy": None if soft is None else {"retentionDurationSeconds": str(soft)},
        "lifecycle": {"rule": inputs["lifecycleRules"]} if inputs.get("lifecycleRules") else None,
    }


def _path(declared: Declared) -> str:
    return f"{_BUCKETS}/{declared.id}"


KINDS: dict[str, Kind[Cloud]] = {"gcp:storage/bucket:Bucket": Kind(_create, _delete, _read, _update)}
