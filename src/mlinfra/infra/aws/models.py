"""Package groups for models that are known when the stack is made; the adapter makes the others when they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import sagemaker

from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration


class ModelGroups(Component):
    """One package group a model, named as the adapter names it."""

    def __init__(self, name: str, configuration: AwsConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them."""
        super().__init__("aws:ModelGroups", name, configuration, options)
        self.groups = {
            model: sagemaker.ModelPackageGroup(
                self.named(model),
                model_package_group_name=f"{model}-{configuration.suffix}",
                tags=self.tags,
                opts=self.guarded(),
            )
            for model in configuration.models
        }
        self.finish(groups={model: group.arn for model, group in self.groups.items()})
