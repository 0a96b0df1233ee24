"""The environment's container registry, with a cache of the public Python image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_azure_native import containerregistry

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from mlinfra.infra.azure.configuration import AzureConfiguration

_SOURCE = "docker.io/library/python"
_TARGET = "library/python"
_TAG = "3.11-slim"
_UNTAGGED_DAYS = 14


class Images(Component):
    """A registry without an administrator's password; or one that exists, to which the cache is added."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("azure:Images", name, configuration, options)
        self._azure = configuration
        adopted = configuration.adopt.registry
        own = (configuration.resource_group, names.compact(configuration, "images"))
        group, self.registry_name = names.place(adopted) if adopted else own
        registry = self.adopted(containerregistry.Registry, "registry", adopted) if adopted else self._made()
        containerregistry.CacheRule(
            self.named("cache"),
            cache_rule_name="python",
            registry_name=self.registry_name,
            resource_group_name=group,
            source_repository=_SOURCE,
            target_repository=_TARGET,
            opts=self.child(ResourceOptions(depends_on=[registry])),
        )
        self.id: Output[str] = registry.id
        self.server = f"{self.registry_name}.azurecr.io"
        self.base = configuration.images.get("base") or f"{self.server}/{_TARGET}:{_TAG}"
        self.finish(server=self.server, base=self.base)

    def _made(self) -> containerregistry.Registry:
        """Private endpoints, and untagged images that go by themselves, are the premium tier's alone."""
        private = self.profile.private_network
        retention = containerregistry.RetentionPolicyArgs(days=_UNTAGGED_DAYS, status="enabled")
        return containerregistry.Registry(
            self.named("registry"),
            registry_name=self.registry_name,
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            sku=containerregistry.SkuArgs(name="Premium" if private else "Basic"),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            public_network_access="Disabled" if private else "Enabled",
            policies=containerregistry.PoliciesArgs(retention_policy=retention) if private else None,
            tags=self.tags,
            opts=self.guarded(),
        )
