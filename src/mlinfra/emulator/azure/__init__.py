"""Azure as its clients see it: Azure Machine Learning over ARM, and the services around it, over the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator

__all__ = ["AzureEmulator"]


def __getattr__(name: str) -> Any:
    """The emulator, loaded on first use: who wants one of its parts does not load all of them."""
    if name != "AzureEmulator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlinfra.emulator.azure.emulator import AzureEmulator  # noqa: PLC0415  loaded on first use

    return AzureEmulator
