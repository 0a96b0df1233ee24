"""Model packages: written by a training script, described by a registry, loaded by a server.

Runs inside jobs: standard library only and Python 3.9; numpy and a model's own library are imported inside functions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.modelkit.description import describe
    from mlinfra.modelkit.load import Predictor, load_predictor
    from mlinfra.modelkit.manifest import MANIFEST_NAME, Manifest
    from mlinfra.modelkit.save import save_model
    from mlinfra.modelkit.schema import Checked, Column, Schema

__all__ = [
    "MANIFEST_NAME",
    "Checked",
    "Column",
    "Manifest",
    "Predictor",
    "Schema",
    "describe",
    "load_predictor",
    "save_model",
]

_HOME = {
    "MANIFEST_NAME": "manifest",
    "Checked": "schema",
    "Column": "schema",
    "Manifest": "manifest",
    "Predictor": "load",
    "Schema": "schema",
    "describe": "description",
    "load_predictor": "load",
    "save_model": "save",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
