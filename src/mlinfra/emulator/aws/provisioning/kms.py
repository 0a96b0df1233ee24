"""Keys and their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import removed, seen, tags
from mlinfra.emulator.provisioning import Kind, Made, made, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs


def _key_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    told = cloud.call(
        "kms",
        "CreateKey",
        Description=inputs.get("description"),
        Policy=inputs.get("policy"),
        Tags=tags(inputs, "TagKey", "TagValue"),
    )["KeyMetadata"]
    if inputs.get("enableKeyRotation"):
        cloud.call("kms", "EnableKeyRotation", KeyId=told["KeyId"])
    return Made(told["KeyId"], {"arn": told["Arn"], "keyId": told["KeyId"]})


def _key_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    answer = cloud.found("kms", "DescribeKey", KeyId=declared.id)
    if answer is None or answer["KeyMetadata"]["KeyState"] == "PendingDeletion":
        return None
    rotates = cloud.call("kms", "GetKeyRotationStatus", KeyId=declared.id)["KeyRotationEnabled"]
    return {"enableKeyRotation": rotates} if "enableKeyRotation" in declared.inputs else {}


def _key_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    turn = "EnableKeyRotation" if declared.inputs.get("enableKeyRotation") else "DisableKeyRotation"
    cloud.call("kms", turn, KeyId=declared.id)
    return {}


def _key_delete(cloud: Cloud, declared: Declared) -> None:
    if _key_read(cloud, declared) is not None:
        days = int(declared.inputs.get("deletionWindowInDays", 30))
        cloud.gone("kms", "ScheduleKeyDeletion", KeyId=declared.id, PendingWindowInDays=days)


def _alias_create(cloud: Cloud, declared: Declared) -> Made:
    cloud.call("kms", "CreateAlias", AliasName=declared.inputs["name"], TargetKeyId=declared.inputs["targetKeyId"])
    return made(declared)


KINDS: dict[str, Kind[Cloud]] = {
    "aws:kms/key:Key": Kind(_key_create, _key_delete, _key_read, _key_update),
    "aws:kms/alias:Alias": Kind(
        _alias_create, removed("kms", "DeleteAlias", "AliasName"), seen("kms", "DescribeKey", "KeyId"), same
    ),
}
