"""Shells of endpoints: the address, its network and its key. The adapter deploys into them and steers their traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_gcp import vertex

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from mlinfra.infra.gcp.configuration import GcpConfiguration
    from mlinfra.infra.gcp.keys import Key
    from mlinfra.infra.gcp.network import Network


class Endpoints(Component):
    """One shell an endpoint. What is deployed in it and how the traffic is split is the adapter's, and left alone."""

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        network: Network | None = None,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them. In a network they answer by Private Service Connect alone."""
        super().__init__("gcp:Endpoints", name, configuration, options)
        after = [*(key.granted if key else []), *([network.policy] if network and network.policy else [])]
        self.shells = {
            endpoint: vertex.AiEndpoint(
                self.named(endpoint),
                name=names.endpoint_id(configuration, endpoint),
                display_name=f"{endpoint}-{configuration.suffix}",
                location=configuration.region,
                dedicated_endpoint_enabled=None if network else configuration.dedicated_endpoints,
                private_service_connect_config=_inside(configuration, network) if network else None,
                encryption_spec={"kms_key_name": key.id} if key else None,
                labels={**names.labels(configuration), "mlinfra_endpoint": endpoint},
                opts=self.child(ResourceOptions(ignore_changes=["trafficSplit"], depends_on=after)),
            )
            for endpoint in configuration.endpoints
        }
        self.ids: dict[str, Output[str]] = {endpoint: shell.name for endpoint, shell in self.shells.items()}
        self.finish(ids=self.ids)


def _inside(configuration: GcpConfiguration, network: Network) -> dict[str, Any]:
    """Who can reach a private shell: the own project, with an address made for it, and that of an adopted network."""
    adopted = configuration.adopt.network
    projects = {configuration.account, *(adopted.network.split("/")[1:2] if adopted else [])}
    address = {"project_id": configuration.account, "network": network.network}
    return {
        "enable_private_service_connect": True,
        "project_allowlists": sorted(projects),
        **({"psc_automation_configs": [address]} if network.policy else {}),
    }
