"""A request against its description: first whether it can be read at all, then every rule that it breaks.

Reading fails with SerializationException, rules with ValidationException that names all of them, in the words of the
framework behind the vendor's services. Members that the description does not know are refused while reading.
"""

from __future__ import annotations

import base64
import binascii
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.model import ListShape, MapShape, StringShape, StructureShape

from mlinfra.emulator.aws.wire import refusals, regexes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import Shape

    from mlinfra.emulator.calls import Refusal

_NAMES = {str: "STRING_VALUE", bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}
_KINDS = {"string": "a String", "boolean": "a Boolean", "integer": "an Integer", "long": "a Long"}
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Violation(NamedTuple):
    """One rule that a request breaks."""

    value: Any  # None where a required member is missing
    path: str
    constraint: str

    def __str__(self) -> str:
        value = "null" if self.value is None else f"'{_printed(self.value)}'"
        return f"Value {value} at '{self.path}' failed to satisfy constraint: {self.constraint}"


def validated(shape: Shape | None, body: Any) -> dict[str, Any]:
    """A request's body, read and checked against its input shape.

    Raises:
        Refusal: SerializationException or ValidationException.
    """
    if shape is None:
        return {}
    value: dict[str, Any] = read(shape, body)
    check(shape, value)
    return value


def check(shape: Shape, value: Any) -> None:
    """Refuse with every rule that a body breaks that has been read."""
    broken = list(violations(shape, value))
    if broken:
        noun = "error" if len(broken) == 1 else "errors"
        raise refusals.validation(f"{len(broken)} validation {noun} detected: {'; '.join(map(str, broken))}")


def read(shape: Shape, value: Any) -> Any:
    """JSON as the shape's types: times as datetimes, blobs as bytes, members that are null left out."""
    if isinstance(shape, StructureShape):
        return _read_structure(shape, value)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise _unreadable(value, "a List")
        return [read(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise _unreadable(value, "a Map")
        return {key: read(shape.value, item) for key, item in value.items() if item is not None}
    return _READERS[shape.type_name](value)


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[Violation]:
    """Every rule that a value breaks, in the order of the description."""
    if isinstance(shape, StructureShape):
        yield from _structure_violations(shape, value, path)
        return
    yield from (Violation(value, path, rule) for rule in _broken(shape, value))
    if isinstance(shape, ListShape):
        yield from _list_violations(shape, value, path)
    elif isinstance(shape, MapShape):
        yield from _map_violations(shape, value, path)


def _structure_violations(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[Violation]:
    prefix = f"{path}." if path else ""
    for name, member in shape.members.items():
        here = prefix + name[:1].lower() + name[1:]
        if name in value:
            yield from violations(member, value[name], here)
        elif name in shape.required_members:
            yield Violation(None, here, "Member must not be null")
    if shape.is_tagged_union and len(value) != 1:
        yield Violation(value, path, f"Exactly one of [{', '.join(shape.members)}] must be set")


def _list_violations(shape: ListShape, value: list[Any], path: str) -> Iterator[Violation]:
    if isinstance(shape.member, (StructureShape, ListShape, MapShape)):
        for number, item in enumerate(value, 1):
            yield from violations(shape.member, item, f"{path}.{number}.member")
    elif any(list(_broken(shape.member, item)) for item in value):
        yield Violation(value, path, f"Member must satisfy constraint: [{_all_rules(shape.member)}]")


def _map_violations(shape: MapShape, value: dict[str, Any], path: str) -> Iterator[Violation]:
    if any(list(_broken(shape.key, key)) for key in value):
        yield Violation(value, path, f"Map keys must satisfy constraint: [{_all_rules(shape.key)}]")
    if isinstance(shape.value, (StructureShape, ListShape, MapShape)):
        for key, item in value.items():
            yield from violations(shape.value, item, f"{path}.{key}.member")
    elif any(list(_broken(shape.value, item)) for item in value.values()):
        yield Violation(value, path, f"Map value must satisfy constraint: [{_all_rules(shape.value)}]")


class _Rule(NamedTuple):
    text: str
    holds: Callable[[Any], bool]


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    return (rule.text for rule in _rules(shape) if not rule.holds(value))


def _all_rules(shape: Shape) -> str:
    return ", ".join(rule.text for rule in _rules(shape))


def _rules(shape: Shape) -> Iterator[_Rule]:
    """What the description asks of a value of this shape, without its parts."""
    measured = shape.type_name in {"string", "blob", "list", "map"}
    what, of = ("length", len) if measured else ("value", float)
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if most is not None:
        yield _Rule(f"Member must have {what} less than or equal to {most}", lambda value: of(value) <= most)
    if least is not None:
        yield _Rule(f"Member must have {what} greater than or equal to {least}", lambda value: of(value) >= least)
    pattern = shape.metadata.get("pattern")
    if pattern:
        yield _Rule(
            f"Member must satisfy regular expression pattern: {pattern}",
            lambda value: regexes.fits(shape.name, pattern, value),
        )
    if isinstance(shape, StringShape) and shape.enum:
        allowed = shape.enum
        yield _Rule(f"Member must satisfy enum value set: [{', '.join(allowed)}]", lambda value: value in allowed)


def _read_structure(shape: StructureShape, value: Any) -> Any:
    if shape.is_document_type:
        return value
    if not isinstance(value, dict):
        raise _unreadable(value, "a Structure")
    unknown = next((name for name in value if name not in shape.members), None)
    if unknown is not None:
        raise refusals.serialization(f'Unrecognized field "{unknown}" of {shape.name}')
    return {name: read(shape.members[name], item) for name, item in value.items() if item is not None}


def _read_string(value: Any) -> str:
    if not isinstance(value, str):
        raise _unreadable(value, _KINDS["string"])
    return value


def _read_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _unreadable(value, _KINDS["boolean"])
    return value


def _read_integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unreadable(value, _KINDS["integer"])
    return value


def _read_number(value: Any) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _unreadable(value, "a Double")
    return value


def _read_time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(_read_number(value), UTC)
    except (ValueError, OverflowError, OSError):
        raise _unreadable(value, "a Timestamp") from None


def _read_blob(value: Any) -> bytes:
    try:
        return value if isinstance(value, bytes) else base64.b64decode(_read_string(value), validate=True)
    except binascii.Error:
        raise _unreadable(value, "a Blob") from None


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _read_string,
    "boolean": _read_boolean,
    "integer": _read_integer,
    "long": _read_integer,
    "float": _read_number,
    "double": _read_number,
    "timestamp": _read_time,
    "blob": _read_blob,
}


def _unreadable(value: Any, kind: str) -> Refusal:
    if isinstance(value, dict):
        return refusals.serialization("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return refusals.serialization("Start of list found where not expected")
    return refusals.serialization(f"{_NAMES.get(type(value), 'NULL_VALUE')} can not be converted to {kind}")


def _printed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_printed, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_printed(item)}' for key, item in value.items())}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
