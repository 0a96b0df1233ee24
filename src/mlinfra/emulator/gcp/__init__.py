"""Google Cloud as its clients see it: Vertex AI over gRPC and REST, and the services around it, over the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator

__all__ = ["GcpEmulator"]


def __getattr__(name: str) -> Any:
    """The emulator, loaded on first use: who wants one of its parts does not load gRPC."""
    if name != "GcpEmulator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlinfra.emulator.gcp.emulator import GcpEmulator  # noqa: PLC0415  loaded on first use

    return GcpEmulator
