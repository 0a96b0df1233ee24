"""Machines kept ready for jobs, and the TensorBoard that they write to, where these are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import Output, ResourceOptions
from pulumi_gcp import vertex

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from mlinfra.infra.gcp.configuration import GcpConfiguration, Pool
    from mlinfra.infra.gcp.keys import Key


class Compute(Component):
    """Persistent resources, which cost while they wait, and a TensorBoard."""

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        key: Key | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them."""
        super().__init__("gcp:Compute", name, configuration, options)
        self._gcp = configuration
        self._encryption = {"kms_key_name": key.id} if key else None
        self._granted = ResourceOptions(depends_on=key.granted if key else [])
        self.pools: dict[str, Output[str]] = {
            pool: self._pool(pool, wanted) for pool, wanted in configuration.pools.items()
        }
        self.tensorboard: Output[str] | None = self._tensorboard() if configuration.tensorboard else None
        self.finish(pools=self.pools)

    def _pool(self, pool: str, wanted: Pool) -> Output[str]:
        growth = {"min_replica_count": str(wanted.replicas), "max_replica_count": str(wanted.most)}
        made = vertex.AiPersistentResource(
            self.named(pool),
            name=f"{pool}-{self._gcp.suffix}",
            display_name=pool,
            location=self._gcp.region,
            resource_pools=[
                {
                    "id": "main",
                    "machine_spec": {"machine_type": wanted.machine},
                    "replica_count": str(wanted.replicas),
                    "autoscaling_spec": growth if wanted.most else None,
                }
            ],
            resource_runtime_spec={"service_account_spec": {"enable_custom_service_account": True}},
            encryption_spec=self._encryption,
            labels=names.labels(self._gcp),
            opts=self.child(self._granted),
        )
        name: Output[str] = made.name
        return name

    def _tensorboard(self) -> Output[str]:
        made = vertex.AiTensorboard(
            self.named("tensorboard"),
            display_name=names.own(self._gcp),
            region=self._gcp.region,
            encryption_spec=self._encryption,
            labels=names.labels(self._gcp),
            opts=self.child(self._granted),
        )
        name: Output[str] = made.name
        return name
