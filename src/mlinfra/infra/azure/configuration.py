"""The configuration of an Azure stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mlinfra.errors import Problem
from mlinfra.infra.configuration import CloudConfiguration, Part, Rule, address_range, one_network
from mlinfra.infra.scale import EndpointScale, sound_scales
from mlinfra.spec.names import Name  # noqa: TC001  pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable

STORES = ("artefacts", "data", "captures", "approvals")
IDENTITIES = ("trainer", "server", "deployer", "approver")
_OWNED = ("storage_account", "data_account", "key_vault", "key", "registry", "workspace")  # of one subscription
_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GROUP = rf"/subscriptions/{_GUID}/resourceGroups/[\w.()-]+"
_RANGE = address_range("10.80.0.0/20", largest=8, smallest=28, what="subnet")

# What a private endpoint reaches, and the zone in which its name is looked up.
ZONES = {
    "amlworkspace": "privatelink.api.azureml.ms",
    "notebooks": "privatelink.notebooks.azure.net",
    "blob": "privatelink.blob.core.windows.net",
    "dfs": "privatelink.dfs.core.windows.net",
    "vault": "privatelink.vaultcore.azure.net",
    "registry": "privatelink.azurecr.io",
}


def _id(provider: str) -> str:
    return rf"^{_GROUP}/providers/{provider}$"


class Network(Part):
    """The network from which people and pipelines reach a private environment."""

    cidr: Annotated[str, _RANGE] = Field("10.80.0.0/20", description="The VNet's range, /8 to /28")
    hosts: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.[a-z]+$")], ...] = Field(
        (), description="Hosts that jobs may reach, by a firewall that costs by the hour: those of the package index"
    )


class AdoptedNetwork(Part):
    """A subnet that exists, and the central zones of private names where there are such."""

    subnet: str = Field(
        pattern=_id(r"Microsoft\.Network/virtualNetworks/[\w.-]+/subnets/[\w.-]+"),
        description="Subnet for private endpoints, by its resource id",
    )
    zones: dict[
        Literal["amlworkspace", "notebooks", "blob", "dfs", "vault", "registry"],
        Annotated[str, Field(pattern=_id(r"Microsoft\.Network/privateDnsZones/[\w.-]+"))],
    ] = Field(default_factory=dict, description="Private DNS zones by what they are for, by resource id")


class Adopted(Part):
    """What exists already and is used as it is: never changed, never destroyed."""

    resource_group: Annotated[str, Field(pattern=r"^[\w.()-]{1,90}$")] | None = Field(
        None, description="Resource group in which everything is made, by its name"
    )
    storage_account: Annotated[str, Field(pattern=_id(r"Microsoft\.Storage/storageAccounts/[a-z0-9]+"))] | None = Field(
        None, description="Storage account of artefacts, captures and approvals, by its resource id"
    )
    data_account: Annotated[str, Field(pattern=_id(r"Microsoft\.Storage/storageAccounts/[a-z0-9]+"))] | None = Field(
        None, description="Storage account of data, with hierarchical namespace, by its resource id"
    )
    key_vault: Annotated[str, Field(pattern=_id(r"Microsoft\.KeyVault/vaults/[\w-]+"))] | None = Field(
        None, description="Key Vault, by its resource id"
    )
    key: Annotated[str, Field(pattern=_id(r"Microsoft\.KeyVault/vaults/[\w-]+/keys/[\w-]+"))] | None = Field(
        None, description="Key that encrypts what the stack makes, by resource id; its vault has rights by role"
    )
    identities: dict[
        Literal["trainer", "server", "deployer", "approver", "ci"],
        Annotated[str, Field(pattern=_id(r"Microsoft\.ManagedIdentity/userAssignedIdentities/[\w-]+"))],
    ] = Field(default_factory=dict, description="User-assigned identities by what each is, by resource id")
    registry: Annotated[str, Field(pattern=_id(r"Microsoft\.ContainerRegistry/registries/\w+"))] | None = Field(
        None, description="Container registry, by its resource id"
    )
    workspace: Annotated[str, Field(pattern=_id(r"Microsoft\.MachineLearningServices/workspaces/[\w-]+"))] | None = (
        Field(None, description="Workspace of Azure Machine Learning, by its resource id")
    )
    log_analytics: Annotated[str, Field(pattern=_id(r"Microsoft\.OperationalInsights/workspaces/[\w-]+"))] | None = (
        Field(None, description="Log Analytics workspace, by its resource id")
    )
    network: AdoptedNetwork | None = Field(None, description="Network: subnet, zones")


class Cluster(Part):
    """A cluster of machines for jobs, which shrinks to none."""

    machine: Annotated[str, Field(pattern=r"^Standard_\w+$")] = Field(description="VM size: Standard_DS3_v2")
    most: int = Field(0, ge=0, le=1000, description="Machines at most; 0 for the stage's own")
    spot: bool | None = Field(None, description="Spare capacity; left out: the stage's own choice")


class Endpoint(Part):
    """An endpoint that the stack owns whole; `mlinfra endpoint deploy` refuses it."""

    image: str = Field(description="Serving image in the environment's registry, by digest")
    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]:\d+$")] = Field(
        description="Registered version, as `mlinfra model list` tells it: NAME:VERSION"
    )
    machine: Annotated[str, Field(pattern=r"^Standard_\w+$")] = Field("Standard_DS3_v2", description="VM size")
    scale: EndpointScale = Field(default_factory=EndpointScale, description="Instances: min, max, requests_per_minute")
    env: dict[str, str] = Field(default_factory=dict, description="Variables of the container")


class AzureConfiguration(CloudConfiguration):
    """An environment in a subscription and region of Azure."""

    platform: Literal["azure"] = Field("azure", description="Where the environment is")
    region: Annotated[str, Field(pattern=r"^[a-z]+\d*$")] = Field(description="Region: westeurope")
    account: Annotated[str, Field(pattern=f"^{_GUID}$")] = Field(description="Subscription id")
    tenant: Annotated[str, Field(pattern=f"^{_GUID}$")] = Field(description="Tenant id")
    clusters: dict[Name, Cluster] = Field(default_factory=dict, description="Clusters for jobs; none: serverless")
    endpoints: tuple[Name, ...] = Field(
        (), description="Endpoints whose shells the stack makes; the adapter deploys into them"
    )
    whole_endpoints: dict[Name, Endpoint] = Field(
        default_factory=dict, description="Endpoints that the stack owns whole: model, deployment, traffic, scaling"
    )
    endpoint_auth: Literal["Key", "AADToken"] | None = Field(
        None, description="How callers show who they are; left out: keys in dev, Entra tokens elsewhere"
    )
    shared_registry: Name | None = Field(
        None, description="Registry of models and images to be shared between workspaces, made by this stack"
    )
    budget_start: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-01$")] = Field(
        "2026-01-01", description="First day of the budget's first month: Azure asks for one"
    )
    network: Network = Field(default_factory=Network, description="The network that the stack makes: cidr, …")
    isolated: bool = Field(default=False, description="Containers reach the environment's own services alone")
    adopt: Adopted = Field(default_factory=Adopted, description="What exists already and is used")

    RULES: ClassVar[tuple[Rule, ...]]

    @property
    def resource_group(self) -> str:
        """The resource group in which everything is."""
        return self.adopt.resource_group or f"mlinfra-{self.name}"

    @property
    def native_id(self) -> str:
        """Subscription, resource group, workspace, region and name."""
        return f"azure:{self.account}:{self.resource_group}:{self.workspace}:{self.region}:{self.name}"

    @property
    def workspace(self) -> str:
        """The workspace's name, which is the environment's unless one is adopted."""
        return self.adopt.workspace.rpartition("/")[2] if self.adopt.workspace else self.name


def _own_subscription(configuration: AzureConfiguration) -> Iterable[Problem]:
    """A workspace's own parts lie in its subscription, and so does what its roles can be given on.

    Networks and logs may be another's. A key's vault may not: a workspace asks for one of its own subscription.
    """
    adopted = configuration.adopt
    owned = {f"adopt.{name}": getattr(adopted, name) for name in _OWNED}
    owned |= {f"adopt.identities.{identity}": native_id for identity, native_id in adopted.identities.items()}
    for path, given in owned.items():
        if given and not given.startswith(f"/subscriptions/{configuration.account}/"):
            yield Problem(
                "lies in another subscription",
                path,
                given=given,
                allowed=f"one in subscription {configuration.account}",
            )


def _own_group(configuration: AzureConfiguration) -> Iterable[Problem]:
    given = configuration.adopt.workspace
    if given and given.split("/")[4] != configuration.resource_group:
        yield Problem(
            "an adopted workspace brings its resource group",
            "adopt.workspace",
            given=given,
            allowed=f"one in {configuration.resource_group}, or adopt.resource_group: {given.split('/')[4]}",
        )


def _two_accounts(configuration: AzureConfiguration) -> Iterable[Problem]:
    """Folders and versions exclude each other, and a name leads to one private endpoint."""
    adopted = configuration.adopt
    if adopted.data_account and adopted.data_account == adopted.storage_account:
        yield Problem(
            "data lie in an account of their own",
            "adopt.data_account",
            given=adopted.data_account,
            allowed="another than adopt.storage_account",
        )


def _one_owner(configuration: AzureConfiguration) -> Iterable[Problem]:
    for name in sorted(set(configuration.endpoints) & set(configuration.whole_endpoints)):
        yield Problem(
            "is the adapter's to deploy into, or the stack's whole",
            f"whole_endpoints.{name}",
            given=name,
            allowed="one of mlinfra:endpoints and mlinfra:whole_endpoints",
        )


def _trusted_once(configuration: AzureConfiguration) -> Iterable[Problem]:
    """A credential is called by its system and subject."""
    seen: set[tuple[str, str]] = set()
    for place, trust in enumerate(configuration.trusts):
        for subject in trust.subjects:
            if (trust.system, subject) in seen:
                yield Problem(
                    "is trusted twice",
                    f"trusts.{place}.subjects",
                    given=subject,
                    allowed=f"each subject once for {trust.system}",
                )
            seen.add((trust.system, subject))


def _no_way_out(configuration: AzureConfiguration) -> Iterable[Problem]:
    if configuration.isolated and configuration.network.hosts:
        given = ", ".join(configuration.network.hosts)
        yield Problem("isolated jobs have no way out", "network.hosts", given=given, allowed="none")


AzureConfiguration.RULES = (
    *CloudConfiguration.RULES,
    Rule(("adopt", "account"), _own_subscription),
    Rule(("adopt",), _own_group),
    Rule(("adopt",), _two_accounts),
    one_network("hosts"),
    Rule(("trusts",), _trusted_once),
    Rule(("network", "isolated"), _no_way_out),
    Rule(("endpoints", "whole_endpoints"), _one_owner),
    sound_scales("whole_endpoints"),
)
