"""An environment in a subscription and region of Azure."""

from __future__ import annotations

import pulumi
import pulumi_azure_native as azure

from mlinfra.infra.azure.configuration import AzureConfiguration
from mlinfra.infra.azure.stack import AzureStack
from mlinfra.infra.configuration import from_stack

configuration = from_stack(AzureConfiguration)
provider = azure.Provider(
    configuration.name,
    subscription_id=configuration.account,
    tenant_id=configuration.tenant,
    location=configuration.region,
    opts=pulumi.ResourceOptions(protect=False),
)
AzureStack(configuration.name, configuration, pulumi.ResourceOptions(providers=[provider])).export()
