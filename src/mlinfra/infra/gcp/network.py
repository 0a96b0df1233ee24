"""The private network of jobs and endpoints: Google's services from inside, and no way out unless asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_gcp import compute, networkconnectivity

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from pulumi import Input, Output, ResourceOptions

    from mlinfra.infra.gcp.configuration import GcpConfiguration

_SAMPLED = 0.5  # of the flows: enough to see who talked to whom
_VERTEX = "gcp-vertexai"  # the class of services under which Vertex AI asks for addresses


class Network(Component):
    """A VPC with one private subnetwork and the attachment by which jobs enter it; or one that exists.

    Shells of endpoints get an address in it by Private Service Connect, which a policy allows Vertex AI to make. In a
    network that exists, the policy and the addresses are its owner's.
    """

    def __init__(self, name: str, configuration: GcpConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("gcp:Network", name, configuration, options)
        self._gcp = configuration
        adopted = configuration.adopt.network
        if adopted:
            self.network: Output[str] = self.adopted(compute.Network, "network", adopted.network).id
            self.subnetwork: Output[str] = self.adopted(compute.Subnetwork, "subnetwork", adopted.subnetwork).id
            self.policy: networkconnectivity.ServiceConnectionPolicy | None = None
        else:
            self._make()
        attachment = compute.NetworkAttachment(
            self.named("attachment"),
            name=names.own(configuration),
            region=configuration.region,
            subnetworks=[self.subnetwork],
            connection_preference="ACCEPT_AUTOMATIC",
            description="Jobs of Vertex AI enter here",
            opts=self.child(),
        )
        self.attachment: Output[str] = attachment.id
        self.finish(network=self.network, subnetwork=self.subnetwork, attachment=self.attachment)

    def _make(self) -> None:
        network = compute.Network(
            self.named("network"),
            name=names.own(self._gcp),
            auto_create_subnetworks=False,
            opts=self.child(),
        )
        self.network = network.id
        subnetwork = compute.Subnetwork(
            self.named("subnetwork"),
            name=names.own(self._gcp),
            network=network.id,
            region=self._gcp.region,
            ip_cidr_range=self._gcp.network.cidr,
            private_ip_google_access=True,
            log_config={"flow_sampling": _SAMPLED, "metadata": "INCLUDE_ALL_METADATA"}
            if self.profile.flow_logs
            else None,
            opts=self.child(),
        )
        self.subnetwork = subnetwork.id
        compute.Firewall(
            self.named("inside"),
            name=names.own(self._gcp, "inside"),
            network=network.id,
            direction="INGRESS",
            source_ranges=[self._gcp.network.cidr],
            allows=[{"protocol": "all"}],
            opts=self.child(),
        )
        self.policy = networkconnectivity.ServiceConnectionPolicy(
            self.named("endpoints"),
            name=names.own(self._gcp),
            location=self._gcp.region,
            network=network.id,
            service_class=_VERTEX,
            psc_config={"subnetworks": [subnetwork.id]},
            labels=names.labels(self._gcp),
            opts=self.child(),
        )
        if self._gcp.network.nat:
            self._nat(network.id)

    def _nat(self, network: Input[str]) -> None:
        router = compute.Router(
            self.named("router"),
            name=names.own(self._gcp),
            network=network,
            region=self._gcp.region,
            opts=self.child(),
        )
        compute.RouterNat(
            self.named("nat"),
            name=names.own(self._gcp),
            router=router.name,
            region=self._gcp.region,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            opts=self.child(),
        )
