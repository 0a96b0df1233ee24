"""Keys and their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import Kind, made, same, tags
from mlinfra.emulator.provisioning import Made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.aws.provisioning.kind import Inputs
    from mlinfra.emulator.provisioning import Declared


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


def _alias_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.gone("kms", "DeleteAlias", AliasName=declared.id)


def _alias_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    return None if cloud.found("kms", "DescribeKey", KeyId=declared.id) is None else {}


KINDS: dict[str, Kind] = {
    "aws:kms/key:Key": Kind(_key_create, _key_delete, _key_read, _key_update),
    "aws:kms/alias:Alias": Kind(_alias_create, _alias_delete, _alias_read, same),
}
