"""Every kind of resource that the emulated subscription knows, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.provisioning import resources, storage, templates

if TYPE_CHECKING:
    from mlinfra.emulator.azure.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Kind

KINDS: dict[str, Kind[Cloud]] = {**resources.KINDS, **storage.KINDS, **templates.KINDS}
