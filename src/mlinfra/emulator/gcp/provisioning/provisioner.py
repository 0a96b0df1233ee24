"""What the stand-in provider asks of the emulated project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.provisioning.cloud import Cloud
from mlinfra.emulator.gcp.provisioning.kinds import KINDS
from mlinfra.emulator.provisioning import ByKind

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator


class GcpProvisioner(ByKind[Cloud]):
    """A `Provisioner` over an emulator that runs."""

    def __init__(self, emulator: GcpEmulator) -> None:
        super().__init__(Cloud(emulator), KINDS)
