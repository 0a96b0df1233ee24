"""REST paths to RPCs and back: `google.api.http` rules as the client library's transports hold them.

A path's variables and the query's parameters become members of the request, the body becomes one of them or, where
the rule says "*", all the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from mlinfra.emulator.gcp.wire import longrunning, refusals, rpcs
from mlinfra.emulator.gcp.wire.messages import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.emulator.gcp.wire.rpcs import Rule

_VARIABLE = re.compile(r"\{([a-z0-9_.]+)=([^}]*)\}")
_MASK = "google.protobuf.FieldMask"


@dataclass(frozen=True)
class Match:
    """What a path means: which RPC by which rule, with the variables in it."""

    service: str
    name: str
    rule: Rule
    variables: Mapping[str, str]


def match(method: str, path: str) -> Match | None:
    """The RPC that a path means; None where it is no path of Vertex AI. `path` is decoded."""
    for service, name, rule, pattern in _patterns():
        found = pattern.fullmatch(path) if rule.method == method else None
        if found:
            variables = {key.replace("__", "."): value for key, value in found.groupdict().items()}
            return Match(service, name, rule, variables)
    return None


def document(found: Match, query: str, body: Any, kind: Any) -> dict[str, Any]:
    """The request's JSON mapping, from path, query and body.

    Raises:
        Refusal: INVALID_ARGUMENT, a parameter that the request does not know.
    """
    made: dict[str, Any] = {}
    if found.rule.body == "*":
        made.update(body or {})
    elif found.rule.body:
        made[found.rule.body] = body if body is not None else {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if not key.startswith("$") and key not in {"alt", "key", "prettyPrint", "fields", "quotaUser"}:
            _put(made, key.split("."), text, kind)
    for key, text in found.variables.items():
        _put(made, key.split("."), text, kind)
    return made


def message(kind: Any, made: Mapping[str, Any]) -> Any:
    """The request's message.

    Raises:
        Refusal: INVALID_ARGUMENT, with the reason for which it cannot be read.
    """
    request = kind()
    try:
        json_format.ParseDict(dict(made), plain(request))
    except json_format.ParseError as exc:
        raise refusals.invalid_argument(f"Invalid JSON payload received. {exc}") from None
    return request


@cache
def _patterns() -> tuple[tuple[str, str, Rule, re.Pattern[str]], ...]:
    return tuple(
        (service, name, rule, re.compile(_expression(rule.uri))) for service, name, rules in _all() for rule in rules
    )


def _all() -> Iterator[tuple[str, str, tuple[Rule, ...]]]:
    for service in rpcs.SERVICES:
        for rpc in rpcs.rpcs(service).values():
            yield service, rpc.name, rpc.rules
    for name in longrunning.MESSAGES:
        yield longrunning.SERVICE, name, rpcs.operation_rules(name)


def _expression(uri: str) -> str:
    """A rule's path as a regular expression with a group for each variable."""
    parts = []
    end = 0
    for found in _VARIABLE.finditer(uri):
        name, pattern = found.groups()
        inside = re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")
        parts += [re.escape(uri[end : found.start()]), f"(?P<{name.replace('.', '__')}>{inside})"]
        end = found.end()
    return "".join([*parts, re.escape(uri[end:])])


def _put(made: dict[str, Any], path: list[str], text: str, kind: Any) -> None:
    """Set a member by its path, as the type of the field has it."""
    descriptor = plain(kind()).DESCRIPTOR
    here = made
    for number, part in enumerate(path):
        field = descriptor.fields_by_name.get(part) or _camel(descriptor, part)
        if field is None:
            raise refusals.invalid_argument(
                f'Invalid JSON payload received. Unknown name "{".".join(path)}": Cannot bind query parameter.'
            )
        key = next((each for each in (field.name, field.json_name) if each in here), field.json_name)
        if number == len(path) - 1:
            value = _value(field, text)
            if field.is_repeated:
                here.setdefault(key, []).append(value)
            else:
                here[key] = value
            return
        descriptor = field.message_type
        here = here.setdefault(key, {})


def _camel(descriptor: Any, name: str) -> Any:
    return next((field for field in descriptor.fields if field.json_name == name), None)


def _value(field: FieldDescriptor, text: str) -> Any:
    """A parameter's text as the JSON mapping of the field has it."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "false": False}.get(text.lower(), text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM and text.isdigit():
        return int(text)
    if field.message_type is not None and field.message_type.full_name == _MASK:
        return re.sub(r"_([a-z])", lambda found: found.group(1).upper(), text)  # both spellings are taken
    return text
