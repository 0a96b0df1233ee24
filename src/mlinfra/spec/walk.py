"""Finding one's way in the models: which field a key names, and what lies below it."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlinfra.spec.findings import Loc


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields under the names that a file uses."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def names_of(model: type[BaseModel]) -> dict[str, str]:
    """The attributes of the fields, by the names that a file uses."""
    return {info.alias or name: name for name, info in model.model_fields.items()}


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation allows, `X | None` and `str | X` included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Annotated, Union, UnionType}:
        return next((model for part in get_args(annotation) if (model := model_in(part))), None)
    return None


def items_in(annotation: Any) -> Any | None:
    """The annotation of what a mapping or a list holds, None where it is neither."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return arguments[1]
    if origin is tuple:
        return arguments[0]
    if origin in {Annotated, Union, UnionType}:
        return next((items for part in arguments if (items := items_in(part)) is not None), None)
    return None


def annotation_at(annotation: Any, loc: Loc) -> Any | None:
    """What the models say about a place, None where nothing can stand."""
    for part in loc:
        if annotation is Any:
            return Any
        model = model_in(annotation)
        if model is None:
            annotation = items_in(annotation)
        else:
            info = fields_of(model).get(str(part))
            annotation = info and info.annotation
        if annotation is None:
            return None
    return annotation


def paths(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every field at every depth in the order of the models; `*` stands for a name or number of the user's."""
    for key, info in fields_of(model).items():
        yield (*prefix, key), info
        below = (*prefix, key)
        annotation = info.annotation
        while (items := items_in(annotation)) is not None:
            below, annotation = (*below, "*"), items
        if inner := model_in(annotation):
            yield from paths(inner, below)
