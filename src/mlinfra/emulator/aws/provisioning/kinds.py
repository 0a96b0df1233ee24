"""Every kind of resource that the emulated account knows, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.provisioning import autoscaling, cloudwatch, iam, kms, s3, sagemaker, stores

if TYPE_CHECKING:
    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Kind

KINDS: dict[str, Kind[Cloud]] = {
    **s3.KINDS,
    **kms.KINDS,
    **iam.KINDS,
    **stores.KINDS,
    **sagemaker.KINDS,
    **autoscaling.KINDS,
    **cloudwatch.KINDS,
}
