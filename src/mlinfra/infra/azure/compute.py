"""Clusters for jobs: none while nothing runs, spare capacity where the stage says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import ResourceOptions
from pulumi_azure_native import machinelearningservices as ml

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration, Cluster
    from mlinfra.infra.azure.models import Workspace

_IDLE = "PT10M"  # before a machine without work goes: a warm start for the next job of a batch


class Compute(Component):
    """The workspace's clusters: `names` are what the workspace calls them, `about` what the adapter chooses by."""

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        workspace: Workspace,
        identity: Input[str],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them. `identity` is the one that jobs run as."""
        super().__init__("azure:Compute", name, configuration, options)
        self._azure = configuration
        self._identity = identity
        after = ResourceOptions(depends_on=[workspace])
        self.clusters = {
            cluster: self._cluster(cluster, wanted, after) for cluster, wanted in configuration.clusters.items()
        }
        self.about = {
            cluster: {"machine": wanted.machine, "spot": self._is_spot(wanted)}
            for cluster, wanted in configuration.clusters.items()
        }
        self.names = {cluster: names.cluster(cluster) for cluster in configuration.clusters}
        self.finish(clusters=self.names)

    def _is_spot(self, wanted: Cluster) -> bool:
        return self.profile.spot if wanted.spot is None else wanted.spot

    def _cluster(self, cluster: str, wanted: Cluster, after: ResourceOptions) -> ml.Compute:
        return ml.Compute(
            self.named(cluster),
            compute_name=names.cluster(cluster),
            workspace_name=self._azure.workspace,
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            identity=ml.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[self._identity]),
            properties=ml.AmlComputeArgs(
                compute_type="AmlCompute",
                disable_local_auth=True,
                properties=ml.AmlComputePropertiesArgs(
                    vm_size=wanted.machine,
                    vm_priority=ml.VmPriority.LOW_PRIORITY if self._is_spot(wanted) else ml.VmPriority.DEDICATED,
                    remote_login_port_public_access=ml.RemoteLoginPortPublicAccess.DISABLED,
                    enable_node_public_ip=not self.profile.private_network,
                    scale_settings=ml.ScaleSettingsArgs(
                        min_node_count=0,
                        max_node_count=wanted.most or self.profile.largest_cluster,
                        node_idle_time_before_scale_down=_IDLE,
                    ),
                ),
            ),
            tags=self.tags,
            opts=self.child(after),
        )
