"""What the stand-in provider asks of the emulated account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.cloud import Cloud
from mlinfra.emulator.aws.provisioning.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.provisioning import Declared, Made


class AwsProvisioner:
    """A `Provisioner` over an emulator that runs."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._cloud = Cloud(emulator)

    def knows(self, token: str) -> bool:
        """Whether the emulated account has resources of this type."""
        return token in KINDS

    def create(self, declared: Declared) -> Made:
        """Make it. Refused is the service's error."""
        return KINDS[declared.token].create(self._cloud, declared)

    def update(self, declared: Declared, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change it in place. Refused is the service's error."""
        return KINDS[declared.token].update(self._cloud, declared, before)

    def delete(self, declared: Declared) -> None:
        """Remove it; nothing where it is gone. Refused is the service's error."""
        KINDS[declared.token].delete(self._cloud, declared)

    def read(self, declared: Declared) -> Mapping[str, Any] | None:
        """What the account tells of its inputs; None where it is gone."""
        return KINDS[declared.token].read(self._cloud, declared)
