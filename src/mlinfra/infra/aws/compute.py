"""What bounds compute: service quotas. SageMaker has no clusters; warm capacity is a setting of each job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import ResourceOptions
from pulumi_aws import servicequotas

from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from mlinfra.infra.aws.configuration import AwsConfiguration


class Compute(Component):
    """Quotas asked for. They stay raised when the stack goes: AWS knows no way back, and another may live by them."""

    def __init__(self, name: str, configuration: AwsConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them."""
        super().__init__("aws:Compute", name, configuration, options)
        for code, value in configuration.quotas.items():
            servicequotas.ServiceQuota(
                self.named(code.lower()),
                service_code="sagemaker",
                quota_code=code,
                value=value,
                opts=self.child(ResourceOptions(retain_on_delete=True)),
            )
        self.finish(quotas=configuration.quotas)
