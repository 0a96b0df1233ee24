"""The machine at hand as a managed ML platform: jobs, models, endpoints and objects in one folder.

The names are lazy: supervisors and gateways start from this package and must start quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.host.host import Host
    from mlinfra.host.interpreters import Image
    from mlinfra.host.objects import ObjectInfo, ObjectPage, ObjectStore

__all__ = ["Host", "Image", "ObjectInfo", "ObjectPage", "ObjectStore"]

_HOMES = {
    "Host": "mlinfra.host.host",
    "Image": "mlinfra.host.interpreters",
    "ObjectInfo": "mlinfra.host.objects",
    "ObjectPage": "mlinfra.host.objects",
    "ObjectStore": "mlinfra.host.objects",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
