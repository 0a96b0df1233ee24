"""The network from which a private environment is reached: private endpoints, and the names that lead to them.

Jobs and endpoints run in the workspace's managed network, which Azure keeps; this is for people and pipelines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_azure_native import network, privatedns

from mlinfra.infra.azure import names
from mlinfra.infra.azure.configuration import ZONES
from mlinfra.infra.component import Component, text

if TYPE_CHECKING:
    from pulumi import Input, Output, ResourceOptions

    from mlinfra.infra.azure.configuration import AzureConfiguration

# What an endpoint of each kind of resource looks its names up in.
_LOOKED_UP = {"amlworkspace": ("amlworkspace", "notebooks")}


class Network(Component):
    """A VNet with one subnet, and the zones of private names; each may exist already."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("azure:Network", name, configuration, options)
        self._azure = configuration
        adopted = configuration.adopt.network
        if adopted:
            self.subnet: Output[str] = self.adopted(network.Subnet, "subnet", adopted.subnet).id
            self.vnet = text(adopted.subnet.partition("/subnets/")[0])
        else:
            self._make()
        given = {str(kind): zone for kind, zone in adopted.zones.items()} if adopted else {}
        self._zones = {kind: self._central(kind, given[kind]) if kind in given else self._zone(kind) for kind in ZONES}
        self.finish(vnet=self.vnet, subnet=self.subnet)

    def reach(self, own: str, kind: str, resource: Input[str], options: ResourceOptions | None = None) -> None:
        """Make a resource answer in the subnet. `kind` is what of it: `blob`, `vault`, `registry`, `amlworkspace`."""
        endpoint = network.PrivateEndpoint(
            self.named(f"{own}-{kind}"),
            private_endpoint_name=names.own(self._azure, f"{own}-{kind}"),
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            subnet=network.SubnetArgs(id=self.subnet),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(name=own, private_link_service_id=resource, group_ids=[kind])
            ],
            tags=self.tags,
            opts=self.child(options),
        )
        zones = [
            network.PrivateDnsZoneConfigArgs(name=zone, private_dns_zone_id=self._zones[zone])
            for zone in _LOOKED_UP.get(kind, (kind,))
        ]
        network.PrivateDnsZoneGroup(
            self.named(f"{own}-{kind}-names"),
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            resource_group_name=self._azure.resource_group,
            private_dns_zone_configs=zones,
            opts=self.child(),
        )

    def _make(self) -> None:
        vnet = network.VirtualNetwork(
            self.named("vnet"),
            virtual_network_name=names.own(self._azure),
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            address_space=network.AddressSpaceArgs(address_prefixes=[self._azure.network.cidr]),
            tags=self.tags,
            opts=self.child(),
        )
        subnet = network.Subnet(
            self.named("subnet"),
            subnet_name="endpoints",
            virtual_network_name=vnet.name,
            resource_group_name=self._azure.resource_group,
            address_prefix=self._azure.network.cidr,
            private_endpoint_network_policies="Disabled",
            opts=self.child(),
        )
        self.vnet = vnet.id
        self.subnet = subnet.id

    def _central(self, kind: str, zone: str) -> Output[str]:
        """A zone that exists; who keeps it has linked it to the networks that look names up in it."""
        found: Output[str] = self.adopted(privatedns.PrivateZone, f"zone-{kind}", zone).id
        return found

    def _zone(self, kind: str) -> Output[str]:
        zone = privatedns.PrivateZone(
            self.named(f"zone-{kind}"),
            private_zone_name=ZONES[kind],
            resource_group_name=self._azure.resource_group,
            location="global",
            tags=self.tags,
            opts=self.child(),
        )
        privatedns.VirtualNetworkLink(
            self.named(f"zone-{kind}-link"),
            virtual_network_link_name="mlinfra",
            private_zone_name=zone.name,
            resource_group_name=self._azure.resource_group,
            location="global",
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=self.vnet),
            tags=self.tags,
            opts=self.child(),
        )
        found: Output[str] = zone.id
        return found
