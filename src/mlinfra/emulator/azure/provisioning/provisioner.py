"""What the stand-in provider asks of the emulated subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.provisioning.cloud import Cloud
from mlinfra.emulator.azure.provisioning.kinds import KINDS
from mlinfra.emulator.provisioning import ByKind

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator


class AzureProvisioner(ByKind[Cloud]):
    """A `Provisioner` over an emulator that runs."""

    def __init__(self, emulator: AzureEmulator) -> None:
        super().__init__(Cloud(emulator), KINDS)
