"""An emulator that knows the image of these tests' models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlinfra.emulator.gcp import GcpEmulator

IMAGE = "europe-west4-docker.pkg.dev/mlinfra-emulated/mlinfra/serving:1"


@pytest.fixture
def emulator(emulator: GcpEmulator) -> GcpEmulator:
    emulator.artifacts.register(IMAGE)
    return emulator


@pytest.fixture
def image() -> str:
    return IMAGE
