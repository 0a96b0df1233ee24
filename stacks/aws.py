"""An environment in an account and region of AWS."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from mlinfra.infra.aws.configuration import AwsConfiguration
from mlinfra.infra.aws.stack import AwsStack
from mlinfra.infra.configuration import from_stack

configuration = from_stack(AwsConfiguration)
provider = aws.Provider(
    configuration.name,
    region=configuration.region,
    allowed_account_ids=[configuration.account],
    opts=pulumi.ResourceOptions(protect=False),
)
AwsStack(configuration.name, configuration, pulumi.ResourceOptions(providers=[provider])).export()
