"""A whole environment on AWS as one component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.infra.aws.compute import Compute
from mlinfra.infra.aws.endpoints import Endpoint
from mlinfra.infra.aws.identity import Identities
from mlinfra.infra.aws.images import Images
from mlinfra.infra.aws.keys import Key
from mlinfra.infra.aws.models import ModelGroups
from mlinfra.infra.aws.money import Budget
from mlinfra.infra.aws.network import Network
from mlinfra.infra.aws.observation import Alarms, Dashboard, Logs, Notices
from mlinfra.infra.aws.secrets import Secrets
from mlinfra.infra.aws.storage import Buckets
from mlinfra.infra.component import Component
from mlinfra.infra.environment import export

if TYPE_CHECKING:
    from pulumi import Output, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

_KEY = "main"  # its name under `keys` in the environment


class AwsStack(Component):
    """Everything that an environment needs, as its stage and its configuration ask for it."""

    def __init__(self, name: str, configuration: AwsConfiguration, options: ResourceOptions | None = None) -> None:
        """Register everything."""
        super().__init__("aws:Stack", name, configuration, options)
        self.configuration: AwsConfiguration = configuration
        self._alarmed = self.profile.alarms or configuration.monthly_budget > 0
        self.key = self._key()
        key = self.key.arn if self.key else None
        self.buckets = Buckets(self.named("stores"), configuration, key=key, options=self.child())
        self.images = Images(self.named("images"), configuration, key=key, options=self.child())
        self.models = ModelGroups(self.named("models"), configuration, options=self.child())
        self.compute = Compute(self.named("compute"), configuration, options=self.child())
        self.secrets = Secrets(self.named("secrets"), configuration, key=key, options=self.child())
        self.logs = Logs(self.named("logs"), configuration, key=key, options=self.child())
        self.network = self._network()
        self.identities = Identities(self.named("identities"), configuration, facts=self._facts(), options=self.child())
        self.notices = (
            Notices(self.named("notices"), configuration, key=key, options=self.child()) if self._alarmed else None
        )
        self.dashboard = (
            Dashboard(self.named("dashboard"), configuration, options=self.child()) if self.profile.alarms else None
        )
        self.alarms = self._alarms()
        self._budget()
        self.endpoints = self._endpoints(key)
        self.finish(environment=configuration.suffix)

    def export(self) -> Output[dict[str, Any]]:
        """Export the environment under the name that `mlinfra env sync` asks for."""
        configuration = self.configuration
        return export(
            configuration,
            **self._facts(),
            region=configuration.region,
            account=configuration.account,
            identities=self.identities.arns,
            observability={
                "logs": self.logs.group,
                "dashboard": self.dashboard.address if self.dashboard else "",
                "notify": self.notices.topic if self.notices else "",
            },
            permission_boundary=configuration.permission_boundary or "",
            warm_pool_seconds=configuration.warm_pool_seconds,
        )

    def _key(self) -> Key | None:
        wanted = self.profile.customer_keys or self.configuration.adopt.key
        return Key(self.named("keys"), self.configuration, options=self.child()) if wanted else None

    def _network(self) -> Network | None:
        wanted = self.profile.private_network or self.configuration.adopt.network
        if not wanted:
            return None
        return Network(self.named("network"), self.configuration, logs=self.logs, options=self.child())

    def _budget(self) -> None:
        if not self.configuration.monthly_budget or self.notices is None:
            return
        stops = [role.name for identity, role in self.identities.roles.items() if identity in {"deployer", "ci"}]
        Budget(
            self.named("money"),
            self.configuration,
            topic=self.notices.topic,
            stops=stops if self.profile.budget_stops else None,
            options=self.child(),
        )

    def _alarms(self) -> dict[str, Alarms]:
        """Of the adapter's endpoints; those of the stack's own are theirs."""
        if self.notices is None or not self.profile.alarms:
            return {}
        return {
            endpoint: Alarms(
                self.named(f"{endpoint}-alarms"),
                self.configuration,
                endpoint=endpoint,
                topic=self.notices.topic,
                options=self.child(),
            )
            for endpoint in self.configuration.watched
        }

    def _endpoints(self, key: Output[str] | None) -> dict[str, Endpoint]:
        return {
            endpoint: Endpoint(
                self.named(endpoint),
                self.configuration,
                wanted,
                endpoint=endpoint,
                role=self.identities.arns["server"],
                subnets=self.network.subnets if self.network else (),
                security_groups=self.network.security_groups if self.network else (),
                key=key,
                topic=self.notices.topic if self.notices and self.profile.alarms else None,
                options=self.child(),
            )
            for endpoint, wanted in self.configuration.endpoints.items()
        }

    def _facts(self) -> dict[str, Any]:
        """The part of the environment on which permissions depend."""
        key = {"key": _KEY} if self.key else {}
        network: dict[str, Any] = {"isolated": self.configuration.isolated}
        if self.network:
            network |= {
                "id": self.network.vpc,
                "subnets": self.network.subnets,
                "security_groups": self.network.security_groups,
                "private_endpoints": True,
            }
        return {
            "stores": {use: {"uri": bucket.uri, **key} for use, bucket in self.buckets.stores.items()},
            "keys": {_KEY: self.key.arn, "volume": self.key.arn} if self.key else {},
            "images": {**_given(self.configuration), "base": {"uri": self.images.base, "python": "3.11"}},
            "network": network,
            "registries": {"images": self.images.registry},
            "vaults": {"default": self.secrets.prefix},
        }


def _given(configuration: AwsConfiguration) -> dict[str, Any]:
    return {kind: {"uri": uri} for kind, uri in configuration.images.items()}
