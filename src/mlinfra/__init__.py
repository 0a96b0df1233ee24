"""The public names, lazily.

Importable with the standard library alone and on Python 3.9, since this file also travels inside the
code bundle and runs beside a user's training script.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra import errors
    from mlinfra.api import environment
    from mlinfra.modelkit import save_model
    from mlinfra.runner.metrics import log_metric
    from mlinfra.spec import EndpointSpec, JobSpec, ModelSpec

__version__ = "0.1.0"
__all__ = ["EndpointSpec", "JobSpec", "ModelSpec", "__version__", "environment", "errors", "log_metric", "save_model"]

_HOMES = {
    "EndpointSpec": "mlinfra.spec",
    "JobSpec": "mlinfra.spec",
    "ModelSpec": "mlinfra.spec",
    "log_metric": "mlinfra.runner.metrics",
    "save_model": "mlinfra.modelkit",
}


class _Package(ModuleType):
    """This package, in which `environment` stays the function also when the module of that name is imported."""

    @property
    def environment(self) -> Any:
        """`mlinfra.api.environment`."""
        return import_module("mlinfra.api").environment

    @environment.setter
    def environment(self, module: Any) -> None:
        """The import system wants to put the module here; it is found in `sys.modules` all the same."""


def __getattr__(name: str) -> Any:
    """Load the module that holds `name`."""
    if name == "errors":
        return import_module("mlinfra.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


sys.modules[__name__].__class__ = _Package
