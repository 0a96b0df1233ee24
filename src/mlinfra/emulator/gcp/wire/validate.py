"""Requests held against what the client library's documentation says of their fields.

As the service does: what only it writes is passed over where a client sends it; all faults are told at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.field_mask_pb2 import FieldMask

from mlinfra.emulator.gcp import labels
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.fields import Rule, rules
from mlinfra.emulator.gcp.wire.messages import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from mlinfra.emulator.calls import Refusal

_MESSAGE = 11
_ENUM = 14
_BOOL = 8
_MASK = "update_mask"
_NOT_SET = "Required field is not set."
_NOTHING = Rule()


class Fault(NamedTuple):
    """One field that is at fault: its path in the request, and why."""

    path: str
    message: str


def check(message: Any) -> None:
    """Nothing, where a request keeps to the rules; fields that only the service writes are emptied.

    Raises:
        Refusal: INVALID_ARGUMENT, with every field that is at fault.
    """
    kind, body = type(message), plain(message)
    faults = list(_masked(kind, body) if _updates(body) else _faults(kind, body, ""))
    if faults:
        raise _refusal(faults)


def _refusal(faults: list[Fault]) -> Refusal:
    listed = "".join(f"{number}.Field: {each.path}; Message: {each.message}\t" for number, each in enumerate(faults, 1))
    violations = [{"field": each.path, "description": each.message} for each in faults]
    return refusals.refusal(
        "INVALID_ARGUMENT",
        f"List of found errors:\t{listed}",
        [refusals.detail("BadRequest", fieldViolations=violations)],
    )


def _faults(
    kind: Any, body: Message, path: str, *, partly: bool = False, kept: tuple[str, ...] = ()
) -> Iterator[Fault]:
    """Every fault of a message. `partly`: what is not there is not missed, for only some of it is to be changed."""
    told = rules(kind)
    for field, _ in body.ListFields():
        if told.get(field.name, _NOTHING).output_only and field.name not in kept:
            body.ClearField(field.name)
    present = {field.name: (field, value) for field, value in body.ListFields()}
    if not partly:
        yield from (Fault(path + name, _NOT_SET) for name in _missing(body, told, present))
    for name, (field, value) in present.items():
        yield from _field(kind, field, value, path + name, told.get(name, _NOTHING), partly=partly)


def _missing(body: Message, told: dict[str, Rule], present: dict[str, Any]) -> Iterator[str]:
    """Required fields that are empty. An empty bool is one that says no."""
    for name, rule in told.items():
        field = body.DESCRIPTOR.fields_by_name.get(name)
        if rule.required and name not in present and field is not None and field.type != _BOOL:
            yield name


def _field(
    kind: Any, field: FieldDescriptor, value: Any, path: str, rule: Rule, *, partly: bool = False
) -> Iterator[Fault]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.name == "labels":
            yield from (Fault(f"{path}.{key}" if key else path, text) for key, text in labels.problems(value))
        return
    many = field.is_repeated
    if many and rule.most is not None and len(value) > rule.most:
        yield Fault(path, f"At most {rule.most} elements are allowed, got {len(value)}.")
    inner = kind.meta.fields[field.name].message if hasattr(kind, "meta") else None
    for number, each in enumerate(value if many else [value]):
        here = f"{path}[{number}]" if many else path
        if field.type == _MESSAGE:
            yield from _faults(inner, each, f"{here}.", partly=partly) if hasattr(inner, "meta") else ()
        else:
            yield from (Fault(here, text) for text in _scalar(field, each, rule))


def _scalar(field: FieldDescriptor, value: Any, rule: Rule) -> Iterator[str]:
    if field.type == _ENUM:
        if value not in field.enum_type.values_by_number:
            yield f"Invalid value: {value}."
    elif isinstance(value, str):
        if rule.longest is not None and len(value) > rule.longest:
            yield f"The value is longer than {rule.longest} characters."
        if rule.pattern is not None and not rule.pattern.fullmatch(value):
            yield f"Invalid value: '{value}', must match '{rule.form}'."
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if rule.least is not None and value < rule.least:
            yield f"The value must be at least {rule.least}, got {value}."
        if rule.largest is not None and value > rule.largest:
            yield f"The value must be at most {rule.largest}, got {value}."


# Updates: a resource, and the mask that says which of its fields are meant


def _updates(body: Message) -> bool:
    field = body.DESCRIPTOR.fields_by_name.get(_MASK)
    return (
        field is not None
        and field.message_type is not None
        and field.message_type.full_name == FieldMask.DESCRIPTOR.full_name
    )


def _masked(kind: Any, body: Message) -> Iterator[Fault]:
    told = rules(kind)
    present = {field.name: (field, value) for field, value in body.ListFields() if field.name != _MASK}
    paths = list(getattr(body, _MASK).paths)
    absent = _missing(body, told, {**present, _MASK: None} if paths else present)
    yield from (Fault(name, _NOT_SET) for name in absent)
    for name, (field, value) in present.items():
        inner = kind.meta.fields[name].message
        if hasattr(inner, "meta"):
            changes = kind.__name__.startswith("Update")
            yield from _changed(inner, value, name, paths, _fixed(inner, paths) if changes else ())
        else:
            yield from _field(kind, field, value, name, told.get(name, _NOTHING))


def _changed(kind: Any, resource: Message, name: str, paths: list[str], fixed: Iterable[Fault]) -> Iterator[Fault]:
    """Faults of a resource of which only the paths are to be changed, and of the paths themselves."""
    yield from (Fault(_MASK, f"Invalid field path: {path}.") for path in paths if not _known(resource, path))
    yield from fixed
    yield from _faults(kind, resource, f"{name}.", partly=True, kept=("name",))
    given = {field.name: value for field, value in resource.ListFields()}
    emptied = (member for member in _missing(resource, rules(kind), given) if member in paths)
    yield from (Fault(f"{name}.{member}", _NOT_SET) for member in emptied)


def _known(resource: Message, path: str) -> bool:
    """Whether a mask's path leads to a field; inside of a map any key does."""
    descriptor = resource.DESCRIPTOR
    for part in path.split("."):
        field = descriptor.fields_by_name.get(part) if descriptor else None
        if field is None:
            return False
        descriptor = field.message_type
        if descriptor is not None and descriptor.GetOptions().map_entry:
            return True
    return True


def _fixed(kind: Any, paths: list[str]) -> Iterator[Fault]:
    """Paths of a mask to what nobody may change."""
    told = rules(kind)
    for path in paths:
        rule = told.get(path.partition(".")[0], _NOTHING)
        if rule.immutable or rule.output_only:
            yield Fault(_MASK, f"Field {path} cannot be updated.")
