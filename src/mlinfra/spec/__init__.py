"""What the user writes: jobs, models and endpoints, from files or from Python, as the same frozen models.

Names are imported when they are asked for, so that a command pays for the kinds that it meets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mlinfra.spec.load import LoadedSpec, load, load_text  # at once: the room `load` must not hide the function

if TYPE_CHECKING:
    from mlinfra.spec.advice import warnings
    from mlinfra.spec.code import GitSource, Python
    from mlinfra.spec.data import Input, Metric, Output
    from mlinfra.spec.endpoint import Access, Capture, Deployment, EndpointSpec, PerReplica, Scale
    from mlinfra.spec.hosting import Asynchronous, Serverless
    from mlinfra.spec.job import JobSpec, Register, Retries
    from mlinfra.spec.kinds import add_kind, known_kinds
    from mlinfra.spec.manual import explain, reference_markdown
    from mlinfra.spec.model import Column, InputSchema, ModelSpec
    from mlinfra.spec.model_reference import ModelReference
    from mlinfra.spec.names import NAME_PATTERN, derive_name
    from mlinfra.spec.overrides import override
    from mlinfra.spec.patch import merge
    from mlinfra.spec.quantities import Duration, Percent, Share, Size, Threshold
    from mlinfra.spec.resources import Accelerator, EndpointResources, Hardware, Resources
    from mlinfra.spec.rollout import RollbackRule, Rollout
    from mlinfra.spec.schema import json_schema
    from mlinfra.spec.settings import with_settings
    from mlinfra.spec.spec import Spec
    from mlinfra.spec.surroundings import check_surroundings

__all__ = [
    "NAME_PATTERN",
    "Accelerator",
    "Access",
    "Asynchronous",
    "Capture",
    "Column",
    "Deployment",
    "Duration",
    "EndpointResources",
    "EndpointSpec",
    "GitSource",
    "Hardware",
    "Input",
    "InputSchema",
    "JobSpec",
    "LoadedSpec",
    "Metric",
    "ModelReference",
    "ModelSpec",
    "Output",
    "PerReplica",
    "Percent",
    "Python",
    "Register",
    "Resources",
    "Retries",
    "RollbackRule",
    "Rollout",
    "Scale",
    "Serverless",
    "Share",
    "Size",
    "Spec",
    "Threshold",
    "add_kind",
    "check_surroundings",
    "derive_name",
    "explain",
    "json_schema",
    "known_kinds",
    "load",
    "load_text",
    "merge",
    "override",
    "reference_markdown",
    "warnings",
    "with_settings",
]

_ROOMS: Final = {
    "advice": ("warnings",),
    "code": ("GitSource", "Python"),
    "data": ("Input", "Metric", "Output"),
    "endpoint": ("Access", "Capture", "Deployment", "EndpointSpec", "PerReplica", "Scale"),
    "hosting": ("Asynchronous", "Serverless"),
    "job": ("JobSpec", "Register", "Retries"),
    "kinds": ("add_kind", "known_kinds"),
    "manual": ("explain", "reference_markdown"),
    "model": ("Column", "InputSchema", "ModelSpec"),
    "model_reference": ("ModelReference",),
    "names": ("NAME_PATTERN", "derive_name"),
    "overrides": ("override",),
    "patch": ("merge",),
    "quantities": ("Duration", "Percent", "Share", "Size", "Threshold"),
    "resources": ("Accelerator", "EndpointResources", "Hardware", "Resources"),
    "rollout": ("RollbackRule", "Rollout"),
    "schema": ("json_schema",),
    "settings": ("with_settings",),
    "spec": ("Spec",),
    "surroundings": ("check_surroundings",),
}
_ROOM_OF: Final = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        message = f"module {__name__} has no attribute {name}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value
