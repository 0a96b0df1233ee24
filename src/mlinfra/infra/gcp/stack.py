"""A whole environment on Google Cloud as one component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import InvokeOptions, ResourceOptions
from pulumi_gcp import organizations

from mlinfra.infra.component import Component
from mlinfra.infra.environment import export
from mlinfra.infra.gcp import names
from mlinfra.infra.gcp.compute import Compute
from mlinfra.infra.gcp.endpoints import Endpoints
from mlinfra.infra.gcp.identity import Identities
from mlinfra.infra.gcp.images import Images
from mlinfra.infra.gcp.keys import Key
from mlinfra.infra.gcp.models import Services
from mlinfra.infra.gcp.money import Budget
from mlinfra.infra.gcp.network import Network
from mlinfra.infra.gcp.observation import Alarms, Dashboard, Logs
from mlinfra.infra.gcp.secrets import Secrets
from mlinfra.infra.gcp.storage import Buckets

if TYPE_CHECKING:
    from pulumi import Output, Resource

    from mlinfra.infra.gcp.configuration import GcpConfiguration

_KEY = "main"  # its name under `keys` in the environment


class GcpStack(Component):
    """Everything that an environment needs, as its stage and its configuration ask for it."""

    def __init__(self, name: str, configuration: GcpConfiguration, options: ResourceOptions | None = None) -> None:
        """Register everything, after the project's services."""
        super().__init__("gcp:Stack", name, configuration, options)
        self.configuration: GcpConfiguration = configuration
        project = organizations.get_project_output(project_id=configuration.account, opts=InvokeOptions(parent=self))
        self.number: Output[str] = project.number
        services = Services(self.named("services"), configuration, options=self.child())
        then = self.child(ResourceOptions(depends_on=list(services.services)))
        wanted = self.profile.customer_keys or configuration.adopt.key
        self.key = Key(self.named("keys"), configuration, options=then) if wanted else None
        self.buckets = Buckets(self.named("stores"), configuration, key=self.key, options=then)
        self.images = Images(self.named("images"), configuration, key=self.key, options=then)
        self.compute = Compute(self.named("compute"), configuration, key=self.key, options=then)
        self.secrets = Secrets(self.named("secrets"), configuration, key=self.key, options=then)
        private = self.profile.private_network or configuration.adopt.network
        self.network = Network(self.named("network"), configuration, options=then) if private else None
        self.identities = Identities(
            self.named("identities"),
            configuration,
            after=self._bound(),
            vault=self.secrets.vault,
            number=self.number,
            options=then,
        )
        self.logs = Logs(self.named("logs"), configuration, options=then)
        self.alarms = Alarms(self.named("alarms"), configuration, options=then)
        self.dashboard = (
            Dashboard(self.named("dashboard"), configuration, options=then) if self.profile.alarms else None
        )
        if configuration.billing_account and configuration.monthly_budget:
            Budget(
                self.named("money"),
                configuration,
                account=configuration.billing_account,
                channels=list(self.alarms.channels),
                options=then,
            )
        self.endpoints = Endpoints(
            self.named("endpoints"), configuration, network=self.network, key=self.key, options=then
        )
        self.finish(environment=configuration.suffix)

    def export(self) -> Output[dict[str, Any]]:
        """Export the environment under the name that `mlinfra env sync` asks for."""
        configuration = self.configuration
        key = {"key": _KEY} if self.key else {}
        return export(
            configuration,
            region=configuration.region,
            account=configuration.account,
            stores={use: {"uri": uri, **key} for use, uri in self.buckets.stores.items()},
            identities=self.identities.emails,
            registries={"images": self.images.registry},
            images={
                **{kind: {"uri": uri} for kind, uri in configuration.images.items()},
                "base": {"uri": self.images.base, "python": "3.11"},
            },
            keys={_KEY: self.key.id} if self.key else {},
            compute=self.compute.pools,
            vaults={"default": self.secrets.vault},
            network=self._network(),
            observability={
                "logs": self.logs.bucket,
                "dashboard": self.dashboard.address if self.dashboard else "",
            },
            tensorboard=self.compute.tensorboard or "",
            dedicated_endpoints=configuration.dedicated_endpoints,
            native=self._native(),
        )

    def _bound(self) -> dict[str, Resource]:
        """What bindings lie on, by the beginning of its resource name."""
        buckets = {
            f"projects/_/buckets/{names.bucket(self.configuration, use)}": bucket
            for use, bucket in self.buckets.buckets.items()
        }
        repositories = f"projects/{self.configuration.account}/locations/{self.configuration.region}/repositories/"
        return {**buckets, repositories: self.images}

    def _network(self) -> dict[str, Any]:
        if self.network is None:
            return {"isolated": self.configuration.isolated}
        return {
            "id": self.network.network,
            "subnets": [self.network.subnetwork],
            "isolated": self.configuration.isolated,
            "private_endpoints": True,
        }

    def _native(self) -> dict[str, Any]:
        """What only the adapter for Vertex AI knows."""
        attachment = {"network_attachment": self.network.attachment} if self.network else {}
        known = {"project_number": self.number, **attachment}
        return {**known, **({"shells": self.endpoints.ids} if self.endpoints.ids else {})}
