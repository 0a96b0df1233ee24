"""Single values: what a parameter and a vendor's field may be, and what no two YAML readers agree on."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mlinfra.spec.findings import Finding, Loc, raise_together, wrong
from mlinfra.spec.limits import MAX_DEPTH, MAX_INTEGER, SCALAR_LENGTH


class UnclearText(str):
    """Text in YAML 1.2 that older readers take for something else: `no`, `12:30:45`. Good where text is asked for."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class UnclearNumber:
    """A number that older readers take for another one: `012`. Good nowhere."""

    text: str


def disagreement(value: UnclearText | UnclearNumber) -> tuple[str, str]:
    """In which two ways a value is read, and how to write what is meant."""
    text = value.text if isinstance(value, UnclearNumber) else str(value)
    quoted = f'or "{text}" in quotes if it is text'
    if text.lower() in {"yes", "on", "y", "no", "off", "n"}:
        meant = "true" if text.lower() in {"yes", "on", "y"} else "false"
        return f"{text} is text in YAML 1.2 and {meant} in YAML 1.1", f"write {meant}, {quoted}"
    if isinstance(value, UnclearNumber):
        return f"{text} is read as different numbers by YAML 1.1 and 1.2", f"write the decimal number, {quoted}"
    return f"{text} is text in YAML 1.2 and a number in YAML 1.1", f"write the decimal number, {quoted}"


def unclear(value: UnclearText | UnclearNumber) -> PydanticCustomError:
    """The error for a value whose place does not settle how it is read."""
    what, todo = disagreement(value)
    return wrong(what, allowed="a value that every YAML reader reads alike", todo=todo)


def scalar(value: object) -> str | int | float | bool:
    """What a parameter may be: a single value, short enough for every platform."""
    if isinstance(value, str) and len(value) > SCALAR_LENGTH:
        allowed = f"text of at most {SCALAR_LENGTH} characters"
        raise wrong(f"a text of {len(value)} characters", allowed=allowed, todo="pass it in a file, as an input")
    return _single(value)


def _single(value: object) -> str | int | float | bool:
    match value:
        case UnclearText() | UnclearNumber():
            raise unclear(value)
        case int() if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise wrong("beyond 64 bits", allowed="integers of 64 bits", todo="put it in quotes if it is text")
        case float() if not math.isfinite(value):
            raise wrong("not a finite number", allowed="finite numbers", todo="leave it out, or put it in quotes")
        case str() if "\0" in value:
            raise wrong("a text with a NUL in it", allowed="text without NUL", todo="remove the NUL")
        case str() | int() | float():
            return value
    raise wrong(
        "not a single value", allowed="text, a number, true or false", todo="write one value, no list or mapping"
    )


def json_object(value: object) -> dict[str, Any]:
    """A mapping that JSON can carry, with every other value reported at its place."""
    if not isinstance(value, Mapping):
        raise wrong("not a mapping", allowed="`key: value` pairs", todo="write a mapping")
    raise_together("a mapping", _beyond_json(value, ()))
    return dict(value)


def _beyond_json(value: object, loc: Loc) -> Iterator[Finding]:
    items: Iterable[tuple[Any, object]]
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        yield from _single_findings(value, loc)
        return
    for key, item in items:
        if isinstance(value, Mapping) and not isinstance(key, str):
            yield Finding(loc, "a key that is not text", "text", "put the key in quotes", str(key), has_value=True)
        elif len(loc) < MAX_DEPTH:
            yield from _beyond_json(item, (*loc, key))
        else:
            yield Finding(loc, "nested too deeply", f"{MAX_DEPTH} levels", "flatten it")


def _single_findings(value: object, loc: Loc) -> Iterator[Finding]:
    try:
        if value is not None:
            _single(value)
    except PydanticCustomError as error:
        context = error.context or {}
        yield Finding(loc, **context, given=value, has_value=True)


def overlay_document(value: object) -> Mapping[str, Any]:
    """A mapping; what it holds is checked where it is laid over the body."""
    if not isinstance(value, Mapping):
        raise wrong("not a mapping", allowed="`key: value` pairs", todo="write a mapping")
    return value


@dataclass(frozen=True, eq=False)
class Plain:
    """Annotates a type with the one function that checks it, with how people and how editors see it."""

    check: Callable[[Any], Any]
    allowed: str
    editor: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let the function decide alone, so that no branch of a union adds a report of its own."""
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.editor)


@dataclass(frozen=True)
class Text:
    """Annotates a text with its pattern, in words too, since nobody should have to read a pattern in an error."""

    pattern: str
    allowed: str
    noun: str = "name"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after pydantic has made sure that it is a text."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}

    def check(self, text: str) -> str:
        """The text, if it fits the pattern as a whole."""
        if re.fullmatch(self.pattern, text):
            return text
        raise wrong(f"not a valid {self.noun}", allowed=self.allowed, todo=f"choose a {self.noun} of that form")


_SCALAR: Final = "text, a number, true or false"
_SCALARS: Final = {"type": ["string", "number", "boolean"]}

Scalar = Annotated[str | int | float | bool, Plain(scalar, _SCALAR, _SCALARS)]
JsonObject = Annotated[Mapping[str, Any], Plain(json_object, "a mapping", {"type": "object"})]
