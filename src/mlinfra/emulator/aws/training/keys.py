"""The KMS keys that a job names: whether they are there, and whether its role may use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.training.faults import ClientError
from mlinfra.emulator.aws.wire import motoside

if TYPE_CHECKING:
    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.training.job import TrainingJob

# By the descriptions of OutputDataConfig's KmsKeyId, and of roles for SageMaker.
_VOLUME, _OUTPUT = "kms:CreateGrant", "kms:Encrypt"


def check(emulator: AwsEmulator, job: TrainingJob) -> None:
    """Raise ClientError for a key that is not there, or that the role may not use."""
    wanted = (
        (job.request["ResourceConfig"].get("VolumeKmsKeyId"), _VOLUME),
        (job.request["OutputDataConfig"].get("KmsKeyId"), _OUTPUT),
    )
    for name, action in wanted:
        if name:
            arn = _arn(emulator, name)
            if emulator.desk.enforce and not emulator.policy.decide(job.role, action, arn).allowed:
                raise ClientError(f"KMS key {name}: AccessDeniedException: {job.role} is not authorized for {action}")


def _arn(emulator: AwsEmulator, name: str) -> str:
    """The ARN of a key by id, ARN, alias or alias' ARN."""
    kms: Any = motoside.backend("kms", emulator.account, emulator.region)
    wanted = name.rpartition(":key/")[2]
    alias = name[name.index("alias/") :] if "alias/" in name else ""
    for key in kms.keys.values():
        if wanted == key.id or alias in key.aliases:
            return str(key.arn)
    raise ClientError(f"KMS key {name}: NotFoundException: the key does not exist")
