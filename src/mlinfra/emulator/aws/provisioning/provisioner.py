"""What the stand-in provider asks of the emulated account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.provisioning.cloud import Cloud
from mlinfra.emulator.aws.provisioning.kinds import KINDS
from mlinfra.emulator.provisioning import ByKind

if TYPE_CHECKING:
    from mlinfra.emulator.aws.emulator import AwsEmulator


class AwsProvisioner(ByKind[Cloud]):
    """A `Provisioner` over an emulator that runs."""

    def __init__(self, emulator: AwsEmulator) -> None:
        super().__init__(Cloud(emulator), KINDS)
