"""Log groups, image repositories, secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import removed, tags
from mlinfra.emulator.provisioning import Kind, Made, made, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs


def _logs_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    cloud.call(
        "logs",
        "CreateLogGroup",
        logGroupName=inputs["name"],
        kmsKeyId=inputs.get("kmsKeyId"),
        tags=inputs.get("tags") or None,
    )
    _logs_update(cloud, declared, {})
    return made(declared)


def _logs_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    if days := declared.inputs.get("retentionInDays"):
        cloud.call("logs", "PutRetentionPolicy", logGroupName=declared.inputs["name"], retentionInDays=int(days))
    return {}


def _logs_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    groups = cloud.call("logs", "DescribeLogGroups", logGroupNamePrefix=declared.id)["logGroups"]
    found = next((group for group in groups if group["logGroupName"] == declared.id), None)
    if found is None:
        return None
    days = found.get("retentionInDays")
    return {"retentionInDays": float(days)} if days and "retentionInDays" in declared.inputs else {}


def _repository_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    told = cloud.call(
        "ecr",
        "CreateRepository",
        repositoryName=inputs["name"],
        imageTagMutability=inputs.get("imageTagMutability"),
        tags=tags(inputs),
    )["repository"]
    return Made(told["repositoryName"], {"arn": told["repositoryArn"]})


def _repository_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    answer = cloud.found("ecr", "DescribeRepositories", repositoryNames=[declared.id])
    return None if answer is None else {"imageTagMutability": answer["repositories"][0]["imageTagMutability"]}


def _repository_delete(cloud: Cloud, declared: Declared) -> None:
    force = bool(declared.inputs.get("forceDelete"))
    cloud.gone("ecr", "DeleteRepository", repositoryName=declared.id, force=force)


def _repository_update(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    mutability = declared.inputs.get("imageTagMutability", "MUTABLE")
    cloud.call("ecr", "PutImageTagMutability", repositoryName=declared.id, imageTagMutability=mutability)
    return {}


def _secret_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    told = cloud.call(
        "secretsmanager",
        "CreateSecret",
        Name=inputs["name"],
        Description=inputs.get("description"),
        KmsKeyId=inputs.get("kmsKeyId"),
        Tags=tags(inputs),
    )
    return Made(told["ARN"], {"arn": told["ARN"]})


def _secret_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    answer = cloud.found("secretsmanager", "DescribeSecret", SecretId=declared.id)
    return None if answer is None or "DeletedDate" in answer else {}


def _secret_delete(cloud: Cloud, declared: Declared) -> None:
    days = int(declared.inputs.get("recoveryWindowInDays", 30))
    when = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    cloud.gone("secretsmanager", "DeleteSecret", SecretId=declared.id, **when)


KINDS: dict[str, Kind[Cloud]] = {
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        _logs_create, removed("logs", "DeleteLogGroup", "logGroupName"), _logs_read, _logs_update
    ),
    "aws:ecr/repository:Repository": Kind(_repository_create, _repository_delete, _repository_read, _repository_update),
    "aws:secretsmanager/secret:Secret": Kind(_secret_create, _secret_delete, _secret_read, same),
}
