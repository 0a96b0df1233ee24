"""Amazon Web Services as its clients see it: SageMaker over the host, moto for what moto does well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.emulator.aws.emulator import AwsEmulator

__all__ = ["AwsEmulator"]


def __getattr__(name: str) -> Any:
    """The emulator, loaded on first use: who wants one of its parts does not load moto."""
    if name != "AwsEmulator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlinfra.emulator.aws.emulator import AwsEmulator  # noqa: PLC0415  loaded on first use

    return AwsEmulator
