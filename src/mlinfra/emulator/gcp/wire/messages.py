"""Messages of both kinds, the client library's (proto-plus) and plain protobuf's, handled alike."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.protobuf import any_pb2, json_format

if TYPE_CHECKING:
    from collections.abc import Iterator


def plain(message: Any) -> Any:
    """The protobuf message inside of a proto-plus one, which shares its contents; a plain one is itself."""
    kind = type(message)
    return kind.pb(message) if hasattr(kind, "pb") else message


def parse(kind: Any, data: bytes) -> Any:
    """A message from the wire. google.protobuf.message.DecodeError where it is none of that kind."""
    return kind.deserialize(data) if hasattr(kind, "deserialize") else kind.FromString(data)


def from_document(kind: Any, document: Mapping[str, Any]) -> Any:
    """A message from its JSON mapping. google.protobuf.json_format.ParseError where it is none."""
    made = kind()
    json_format.ParseDict(dict(document), plain(made))
    return made


def as_document(message: Any, *, enum_numbers: bool = False) -> dict[str, Any]:
    """The JSON mapping: lowerCamelCase, enums by name, 64-bit integers as texts, defaults left out."""
    found: dict[str, Any] = json_format.MessageToDict(plain(message), use_integers_for_enums=enum_numbers)
    return found


class Document(Mapping[str, Any]):
    """A message's JSON mapping, made when somebody looks into it: that of a large prediction takes its time."""

    def __init__(self, message: Any) -> None:
        self._message = message

    @cached_property
    def _made(self) -> dict[str, Any]:
        return as_document(self._message)

    def __getitem__(self, key: str) -> Any:
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def packed(message: Any) -> any_pb2.Any:
    """A message as it travels inside of an operation."""
    found = any_pb2.Any()
    found.Pack(plain(message))
    return found


def copied(message: Any) -> Any:
    """A message of its own with the same contents."""
    kind = type(message)
    made = kind()
    plain(made).CopyFrom(plain(message))
    return made
