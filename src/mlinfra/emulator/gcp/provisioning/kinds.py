"""Every kind of resource that the emulated project knows, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.provisioning import bindings, endpoints, iam, monitoring, storage, stores

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Kind

KINDS: dict[str, Kind[Cloud]] = {
    **storage.KINDS,
    **iam.KINDS,
    **bindings.KINDS,
    **stores.KINDS,
    **monitoring.KINDS,
    **endpoints.KINDS,
}
