"""Azure Machine Learning's inference server: a scoring script."""

from __future__ import annotations

import json
from typing import Any

import peer

_LOADED: list[Any] = []


def init() -> None:
    """Load."""
    _LOADED.append(peer.load())


def run(raw_data: str) -> dict[str, Any]:
    """Ask the model."""
    return {"predictions": peer.predict(_LOADED[0], json.loads(raw_data)["instances"])}
