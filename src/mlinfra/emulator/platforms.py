"""Which platforms have an emulator, and its class."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.emulator.emulator import Emulator

PLATFORMS: dict[str, str] = {
    "aws": "mlinfra.emulator.aws:AwsEmulator",
    "gcp": "mlinfra.emulator.gcp:GcpEmulator",
    "azure": "mlinfra.emulator.azure:AzureEmulator",
}
PROVISIONED = frozenset({"aws", "azure", "gcp"})  # those in which what stacks make comes to exist
_COMMON = ("cryptography", "grpc")
_PACKAGES = {  # what the extras bring
    "aws": (*_COMMON, "moto"),
    "gcp": (*_COMMON, "google.cloud.aiplatform_v1"),
    "azure": (*_COMMON, "werkzeug"),
}
_EXTRAS = {"aws": "emulator", "gcp": "emulator,gcp", "azure": "emulator"}


def check(platform: str) -> None:
    """Nothing, where an emulator of that platform can be started. Imports none of its packages.

    Raises:
        CapabilityError: there is none, or packages that it needs are not installed.
    """
    if platform not in PLATFORMS:
        raise CapabilityError(
            "there is no emulator of this platform",
            given=platform,
            allowed=", ".join(PLATFORMS),
            todo="`local` is this machine itself and needs none" if platform == "local" else "start one of those",
        )
    missing = [package for package in _PACKAGES[platform] if not _installed(package)]
    if missing:
        raise CapabilityError(
            "the emulator needs packages that are not installed",
            given=", ".join(missing),
            todo=f"pip install 'mlinfra-kit[{_EXTRAS[platform]}]'",
        )


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # what it lies in is not there
        return False


def load(platform: str) -> type[Emulator]:
    """The emulator's class.

    Raises:
        CapabilityError: as `check`.
    """
    check(platform)
    module, _, name = PLATFORMS[platform].partition(":")
    found: type[Emulator] = getattr(import_module(module), name)
    return found
