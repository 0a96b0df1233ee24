"""The vendor's descriptions of its services, and answers put into the shapes that they promise.

The source is `service-2.json` inside botocore, never a model that the user has put beside it.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, StringShape, StructureShape

from mlinfra.errors import KitFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import OperationModel, Shape

# Members that a description calls required and the service leaves out. A version in a group has no name: the guide's
# example of DescribeModelPackage shows none, and the vendor's SDK falls back on the ARN where it is missing.
_LEFT_OUT = {("DescribeModelPackageOutput", "ModelPackageName")}
_NUMBERS = {"integer", "long", "float", "double"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (datetime,),
    "blob": (bytes,),
}


@cache
def service(name: str) -> ServiceModel:
    """The description of a service by botocore's name for it, of the newest api-version."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


def operation(service_name: str, name: str) -> OperationModel:
    """The description of one operation. KeyError where the service has none of that name."""
    model = service(service_name)
    if name not in model.operation_names:
        raise KeyError(name)
    return model.operation_model(name)


def shaped(shape: Shape, value: Any, path: str = "") -> Any:
    """An answer as its output shape has it; members that are None are left out, times stay times.

    Raises:
        KitFault: it is not what the description promises; the emulator's own fault.
    """
    if isinstance(shape, StructureShape):
        return _structure(shape, value, path)
    if isinstance(shape, ListShape):
        _expect(isinstance(value, (list, tuple)), "not a list", path, value)
        return [shaped(shape.member, item, f"{path}[{number}]") for number, item in enumerate(value)]
    if isinstance(shape, MapShape):
        _expect(isinstance(value, dict), "not a map", path, value)
        return {str(key): shaped(shape.value, item, f"{path}.{key}") for key, item in value.items()}
    return _scalar(shape, value, path)


def as_json(value: Any) -> Any:
    """A shaped answer for the protocols json-1.1 and rest-json: times in seconds since the epoch, bytes in base64."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, datetime):
        return round(value.astimezone(UTC).timestamp(), 3)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    _expect(isinstance(value, dict), "not a structure", path, value)
    given: Mapping[str, Any] = {key: item for key, item in value.items() if item is not None}
    unknown = sorted(given.keys() - shape.members.keys())
    _expect(not unknown, f"members unknown to {shape.name}: {', '.join(unknown)}", path, value)
    missing = [name for name in shape.required_members if name not in given and (shape.name, name) not in _LEFT_OUT]
    _expect(not missing, f"members missing: {', '.join(missing)}", path, value)
    return {
        name: shaped(member, given[name], f"{path}.{name}") for name, member in shape.members.items() if name in given
    }


def _scalar(shape: Shape, value: Any, path: str) -> Any:
    wanted = _TYPES.get(shape.type_name, (object,))
    fits = isinstance(value, wanted) and not (shape.type_name in _NUMBERS and isinstance(value, bool))
    _expect(fits, f"not a {shape.type_name}", path, value)
    if isinstance(shape, StringShape) and shape.enum:
        _expect(value in shape.enum, f"not one of {', '.join(shape.enum)}", path, value)
    return value


def _expect(holds: bool, what: str, path: str, value: Any) -> None:  # noqa: FBT001  a condition, not a switch
    if not holds:
        raise KitFault(f"the emulator's answer is wrong at {path or 'its top'}: {what}", given=value)
