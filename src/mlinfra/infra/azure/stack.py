"""A whole environment on Azure as one component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import ResourceOptions
from pulumi_azure_native import resources

from mlinfra.environment import AzureEnvironment
from mlinfra.infra.azure import names
from mlinfra.infra.azure.aliases import unversioned
from mlinfra.infra.azure.compute import Compute
from mlinfra.infra.azure.deployments import Endpoint
from mlinfra.infra.azure.endpoints import Endpoints
from mlinfra.infra.azure.identity import Identities
from mlinfra.infra.azure.images import Images
from mlinfra.infra.azure.keys import Key
from mlinfra.infra.azure.models import SharedRegistry, Workspace
from mlinfra.infra.azure.money import Budget
from mlinfra.infra.azure.network import Network
from mlinfra.infra.azure.observation import Alarms, Dashboard, Logs
from mlinfra.infra.azure.secrets import Vault
from mlinfra.infra.azure.storage import Stores
from mlinfra.infra.component import Component
from mlinfra.infra.environment import export

if TYPE_CHECKING:
    from pulumi import Input, Output

    from mlinfra.infra.azure.configuration import AzureConfiguration

_KEY = "main"  # its name under `keys` in the environment
_BLOB_ACCESS = ("StorageRead", "StorageWrite", "StorageDelete")
_VAULT_ACCESS = ("AuditEvent",)


class AzureStack(Component):
    """Everything that an environment needs, as its stage and its configuration ask for it."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register everything, in the environment's resource group."""
        lean = ResourceOptions(transformations=[unversioned])
        super().__init__("azure:Stack", name, configuration, ResourceOptions.merge(lean, options))
        self.configuration: AzureConfiguration = configuration
        inside = self.child(ResourceOptions(depends_on=[self._group()]))
        self.identities = Identities(self.named("identities"), configuration, options=inside)
        self.vault = Vault(self.named("secrets"), configuration, options=inside)
        self.key = (
            Key(self.named("keys"), configuration, vault=self.vault, options=inside)
            if self.profile.customer_keys or configuration.adopt.key
            else None
        )
        self.stores = Stores(self.named("stores"), configuration, key=self.key, options=inside)
        self.images = Images(self.named("images"), configuration, options=inside)
        self.logs = Logs(self.named("logs"), configuration, options=inside)
        self.workspace = Workspace(
            self.named("models"),
            configuration,
            stores=self.stores,
            vault=self.vault,
            images=self.images,
            insights=self.logs.insights,
            key=self.key,
            options=inside,
        )
        self.registry = (
            SharedRegistry(
                self.named("registry"), configuration, registry=configuration.shared_registry, options=inside
            )
            if configuration.shared_registry
            else None
        )
        self.compute = Compute(
            self.named("compute"),
            configuration,
            workspace=self.workspace,
            identity=self.identities.ids["trainer"],
            options=inside,
        )
        self.endpoints = Endpoints(
            self.named("endpoints"),
            configuration,
            workspace=self.workspace,
            identity=self.identities.ids["server"],
            options=inside,
        )
        self.network = self._network(inside)
        self._watch(inside)
        self.identities.grant(self._described(), self._targets())
        self.whole = self._whole()
        self.finish(environment=configuration.suffix)

    def export(self) -> Output[dict[str, Any]]:
        """Export the environment under the name that `mlinfra env sync` asks for."""
        configuration = self.configuration
        key = {"key": _KEY} if self.key else {}
        return export(
            configuration,
            region=configuration.region,
            account=configuration.account,
            resource_group=configuration.resource_group,
            workspace=configuration.workspace,
            registry=self.registry.name_of_it if self.registry else "",
            stores={use: {**store, **key} for use, store in self._stores().items()},
            identities=self.identities.ids,
            registries={"images": self.images.server},
            images={
                **{kind: {"uri": uri} for kind, uri in configuration.images.items()},
                "base": {"uri": self.images.base, "python": "3.11"},
            },
            keys={_KEY: self.key.uri} if self.key else {},
            compute=self.compute.names,
            vaults={"default": self.vault.uri},
            network=self._described_network(),
            observability={
                "logs": self.logs.workspace,
                "dashboard": self.dashboard.address if self.dashboard else "",
                "notify": self.alarms.group if self.alarms else "",
            },
            native={
                "tenant": configuration.tenant,
                "client_ids": self.identities.client_ids,
                **({"clusters": self.compute.about} if self.compute.about else {}),
                **self._elsewhere(),
            },
        )

    def _described(self) -> AzureEnvironment:
        """The part of the environment on which rights depend; every name in it is known before anything exists."""
        configuration = self.configuration
        return AzureEnvironment.model_validate(
            {
                "name": configuration.name,
                "region": configuration.region,
                "account": configuration.account,
                "resource_group": configuration.resource_group,
                "workspace": configuration.workspace,
                "registry": self.registry.name_of_it if self.registry else "",
                "stores": self._stores(),
                "identities": self.identities.known(),
                "registries": {"images": self.images.server},
                "vaults": {"default": self.vault.uri},
                "native": self._elsewhere(),
            }
        )

    def _stores(self) -> dict[str, dict[str, Any]]:
        options = self.stores.options
        return {
            use: {"uri": uri, **({"options": options[use]} if use in options else {})}
            for use, uri in self.stores.uris.items()
        }

    def _elsewhere(self) -> dict[str, dict[str, str]]:
        """The ids of the vault and the registry where they lie in another group: no address tells of it."""
        adopted = self.configuration.adopt
        group = names.group_id(self.configuration)
        ids = [each for each in (adopted.key_vault, adopted.registry) if each and not each.startswith(f"{group}/")]
        return {"elsewhere": {each.partition("/providers/")[2]: each for each in ids}} if ids else {}

    def _targets(self) -> dict[str, Input[str]]:
        """The ids of what rights lie on, adopted ones among them, by kind and name."""
        configuration = self.configuration
        shared = {f"registries/{self.registry.name_of_it}": self.registry.registry.id} if self.registry else {}
        return {
            **{f"containers/{use}": each for use, each in self.stores.containers.items()},
            f"registries/{self.images.registry_name}": self.images.id,
            f"vaults/{self.vault.name_of_it}": self.vault.id,
            f"workspaces/{configuration.workspace}": self.workspace.id,
            f"resourceGroups/{configuration.resource_group}": names.group_id(configuration),
            **shared,
        }

    def _group(self) -> resources.ResourceGroup:
        configuration = self.configuration
        if configuration.adopt.resource_group:
            return self.adopted(resources.ResourceGroup, "group", names.group_id(configuration))
        return resources.ResourceGroup(
            self.named("group"),
            resource_group_name=configuration.resource_group,
            location=configuration.region,
            tags=self.tags,
            opts=self.guarded(),
        )

    def _network(self, inside: ResourceOptions) -> Network | None:
        """Everything that holds data, and the workspace itself, answer in the network alone."""
        if not (self.profile.private_network or self.configuration.adopt.network):
            return None
        made = Network(self.named("network"), self.configuration, options=inside)
        made.reach("kept", "blob", self.stores.kept.id)
        made.reach("data", "blob", self.stores.data.id)
        made.reach("data", "dfs", self.stores.data.id)
        made.reach("secrets", "vault", self.vault.id)
        made.reach("images", "registry", self.images.id)
        made.reach("models", "amlworkspace", self.workspace.id)
        return made

    def _watch(self, inside: ResourceOptions) -> None:
        configuration = self.configuration
        wanted = self.profile.alarms or configuration.monthly_budget
        self.alarms = Alarms(self.named("alarms"), configuration, options=inside) if wanted else None
        self.dashboard = (
            Dashboard(self.named("dashboard"), configuration, workspace=self.workspace.id, options=inside)
            if self.profile.alarms
            else None
        )
        if self.alarms and configuration.monthly_budget:
            Budget(self.named("money"), configuration, group=self.alarms.group, options=inside)
        if self.alarms and self.profile.alarms:
            for endpoint, shell in self.endpoints.shells.items():
                self.alarms.watch(endpoint, shell.id)
        if self.profile.access_logs:
            for own, account in (("kept", self.stores.kept), ("data", self.stores.data)):
                blobs = account.id.apply(lambda native_id: f"{native_id}/blobServices/default")
                self.logs.audit(own, blobs, _BLOB_ACCESS)
            self.logs.audit("secrets", self.vault.id, _VAULT_ACCESS)

    def _whole(self) -> dict[str, Endpoint]:
        """Endpoints owned whole, once their servers may read images and models."""
        after = self.child(ResourceOptions(depends_on=[self.workspace, self.identities]))
        return {
            endpoint: Endpoint(
                self.named(endpoint),
                self.configuration,
                wanted,
                endpoint=endpoint,
                identity=self.identities.ids["server"],
                alarms=self.alarms if self.profile.alarms else None,
                options=after,
            )
            for endpoint, wanted in self.configuration.whole_endpoints.items()
        }

    def _described_network(self) -> dict[str, Any]:
        isolated = {"isolated": self.configuration.isolated}
        if self.network is None:
            return isolated
        return {**isolated, "id": self.network.vnet, "subnets": [self.network.subnet], "private_endpoints": True}
