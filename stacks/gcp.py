"""An environment in a project and region of Google Cloud."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from mlinfra.infra.configuration import from_stack
from mlinfra.infra.gcp.configuration import GcpConfiguration
from mlinfra.infra.gcp.stack import GcpStack

configuration = from_stack(GcpConfiguration)
provider = gcp.Provider(
    configuration.name,
    project=configuration.account,
    region=configuration.region,
    opts=pulumi.ResourceOptions(protect=False),
)
GcpStack(configuration.name, configuration, pulumi.ResourceOptions(providers=[provider])).export()
