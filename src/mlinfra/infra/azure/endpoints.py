"""Shells of endpoints: the address and how callers show who they are. The adapter deploys and steers the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import ResourceOptions
from pulumi_azure_native import machinelearningservices as ml

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration
    from mlinfra.infra.azure.models import Workspace


class Endpoints(Component):
    """One shell an endpoint, made once and not updated.

    An update is a PUT of what the program says, and one that says nothing of traffic takes all of it away. Traffic,
    deployments and tags of a release are the adapter's. `pulumi up --replace` is for whoever wants another shell.
    """

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        workspace: Workspace,
        identity: Input[str],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them. `identity` is the one that servers run as."""
        super().__init__("azure:Endpoints", name, configuration, options)
        self.shells = {
            endpoint: ml.OnlineEndpoint(
                self.named(endpoint),
                endpoint_name=names.endpoint(configuration, endpoint),
                workspace_name=configuration.workspace,
                resource_group_name=configuration.resource_group,
                location=configuration.region,
                kind="Managed",
                identity=ml.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[identity]),
                properties=entry(configuration),
                tags={**self.tags, "mlinfra_name": endpoint},
                opts=self.child(ResourceOptions(ignore_changes=["properties", "tags"], depends_on=[workspace])),
            )
            for endpoint in configuration.endpoints
        }
        self.finish(endpoints={endpoint: shell.name for endpoint, shell in self.shells.items()})


def entry(configuration: AzureConfiguration) -> ml.OnlineEndpointPropertiesArgs:
    """How an endpoint is reached: with a key or a token of Entra, from everywhere or from the network alone."""
    private = configuration.profile.private_network
    return ml.OnlineEndpointPropertiesArgs(
        auth_mode=configuration.endpoint_auth or ("AADToken" if private else "Key"),
        public_network_access="Disabled" if private else "Enabled",
    )
