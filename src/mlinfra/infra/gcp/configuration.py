"""The configuration of a Google Cloud stack."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mlinfra.errors import Problem
from mlinfra.infra.configuration import CloudConfiguration, Part, Rule, address_range, one_network
from mlinfra.spec.names import Name  # noqa: TC001  pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable

STORES = ("artefacts", "data", "captures", "approvals")
ACCOUNTS = ("trainer", "server", "deployer", "approver")
_RANGE = address_range("10.80.0.0/20", largest=8, smallest=28, what="subnetwork")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")

Email = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.-]+\.iam\.gserviceaccount\.com$")]


class Network(Part):
    """The network that the stack makes where the stage is private."""

    cidr: Annotated[str, _RANGE] = Field("10.80.0.0/20", description="The subnetwork's range, /8 to /28")
    nat: bool = Field(default=False, description="Jobs may reach the internet, through a NAT: for package indexes")


class AdoptedNetwork(Part):
    """A network that exists, this project's or a shared one; the stack adds its attachment and nothing else."""

    network: str = Field(
        pattern=r"^projects/[a-z0-9:.-]+/global/networks/[a-z0-9-]+$",
        description="The network: projects/PROJECT/global/networks/NAME",
    )
    subnetwork: str = Field(
        pattern=r"^projects/[a-z0-9:.-]+/regions/[a-z0-9-]+/subnetworks/[a-z0-9-]+$",
        description="A subnetwork of it: projects/PROJECT/regions/REGION/subnetworks/NAME",
    )


class Adopted(Part):
    """What exists already and is used as it is: never changed, never destroyed."""

    buckets: dict[Literal["artefacts", "data", "captures", "approvals"], str] = Field(
        default_factory=dict, description="Buckets by use: artefacts, data, captures, approvals"
    )
    key: Annotated[str, Field(pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$")] | None = (
        Field(None, description="Key: projects/P/locations/L/keyRings/R/cryptoKeys/K")
    )
    network: AdoptedNetwork | None = Field(None, description="Network: network, subnetwork")
    service_accounts: dict[Literal["trainer", "server", "deployer", "approver", "ci"], Email] = Field(
        default_factory=dict, description="Service accounts by identity, by e-mail"
    )
    identity_pool: (
        Annotated[str, Field(pattern=r"^projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]+$")] | None
    ) = Field(None, description="Workload identity pool: projects/NUMBER/locations/global/workloadIdentityPools/POOL")


class Pool(Part):
    """Machines kept ready for jobs, which cost while they wait."""

    machine: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]+-[a-z0-9-]+$")] = Field(description="Machine type")
    replicas: int = Field(1, ge=1, le=1000, description="Machines at first")
    most: int = Field(0, ge=0, le=1000, description="Machines at most; 0 for no more than `replicas`")


class GcpConfiguration(CloudConfiguration):
    """An environment in a project and region of Google Cloud."""

    platform: Literal["gcp"] = Field("gcp", description="Where the environment is")
    region: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+\d+$")] = Field(description="Region: europe-west4")
    account: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")] = Field(description="Project id")
    billing_account: Annotated[str, Field(pattern=r"^[0-9A-F]{6}(-[0-9A-F]{6}){2}$")] | None = Field(
        None, description="Billing account of the budget: 012345-6789AB-CDEF01; without it no budget is made"
    )
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field("USD", description="The billing account's currency")
    dedicated_endpoints: bool = Field(default=True, description="Endpoints have an address of their own")
    endpoints: tuple[Name, ...] = Field(
        (), description="Endpoints whose shells the stack makes; the adapter deploys into them"
    )
    pools: dict[Name, Pool] = Field(default_factory=dict, description="Machines kept ready for jobs")
    tensorboard: bool = Field(default=False, description="A TensorBoard that jobs write to")
    secrets: tuple[Name, ...] = Field((), description="Secrets that jobs may read; the stack makes them empty")
    network: Network = Field(default_factory=Network, description="The network that the stack makes: cidr, nat")
    isolated: bool = Field(default=False, description="Containers reach Google's services alone")
    adopt: Adopted = Field(default_factory=Adopted, description="What exists already and is used")

    RULES: ClassVar[tuple[Rule, ...]]

    @property
    def native_id(self) -> str:
        """Project, region and name."""
        return f"gcp:{self.account}:{self.region}:{self.name}"


def _labels(configuration: GcpConfiguration) -> Iterable[Problem]:
    """Tags become labels, which have no upper case: two that would fall together are refused."""
    seen: dict[str, str] = {}
    for key, value in configuration.tags.items():
        label = key.lower()
        if not _LABEL.fullmatch(label):
            yield Problem("cannot be a label", f"tags.{key}", given=key, allowed="letters, digits, '_', '-'; ≤ 63")
        elif label in seen:
            yield Problem("two tags are one label", f"tags.{key}", given=key, allowed=f"another than {seen[label]}")
        if not _LABEL_VALUE.fullmatch(value.lower()):
            yield Problem("cannot be a label", f"tags.{key}", given=value, allowed="letters, digits, '_', '-'; ≤ 63")
        seen[label] = key


def _own_project(configuration: GcpConfiguration) -> Iterable[Problem]:
    for identity, email in configuration.adopt.service_accounts.items():
        if not email.endswith(f"@{configuration.account}.iam.gserviceaccount.com"):
            yield Problem(
                "an account of another project",
                f"adopt.service_accounts.{identity}",
                given=email,
                allowed=f"one of project {configuration.account}",
            )


def _own_region(configuration: GcpConfiguration) -> Iterable[Problem]:
    adopted = configuration.adopt
    if adopted.key and f"/locations/{configuration.region}/" not in adopted.key:
        yield Problem(
            "Vertex AI takes keys of its own region",
            "adopt.key",
            given=adopted.key,
            allowed=f"one in {configuration.region}",
        )
    if adopted.network and f"/regions/{configuration.region}/" not in adopted.network.subnetwork:
        yield Problem(
            "lies in another region",
            "adopt.network.subnetwork",
            given=adopted.network.subnetwork,
            allowed=f"one in {configuration.region}",
        )


def _no_way_out(configuration: GcpConfiguration) -> Iterable[Problem]:
    if configuration.isolated and configuration.network.nat:
        yield Problem("isolated containers have no way out", "network.nat", given="true", allowed="false")


def _pools(configuration: GcpConfiguration) -> Iterable[Problem]:
    for name, pool in configuration.pools.items():
        if pool.most and pool.most < pool.replicas:
            yield Problem(
                "grows to less than its first machines",
                f"pools.{name}.most",
                given=str(pool.most),
                allowed=f"0, or {pool.replicas} or more",
            )


GcpConfiguration.RULES = (
    *CloudConfiguration.RULES,
    Rule(("tags",), _labels),
    Rule(("adopt", "account"), _own_project),
    Rule(("adopt", "region"), _own_region),
    one_network(),
    Rule(("network", "isolated"), _no_way_out),
    Rule(("pools",), _pools),
)
