"""Values that are written as one short text: the same pattern holds in Python, in files and in editors."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from mlinfra.errors import SpecError
from mlinfra.spec.findings import wrong


class Notation(ABC):
    """A value with one written form; `str()` gives it back."""

    NOUN: ClassVar[str]
    PATTERN: ClassVar[str]
    ALLOWED: ClassVar[str]

    @classmethod
    def parse(cls, value: object) -> Self:
        """The value that a text states. A value is returned as it is; SpecError for anything else."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and re.fullmatch(cls.PATTERN, value):
            return cls.read(value)
        raise cls.refusal(value)

    @classmethod
    @abstractmethod
    def read(cls, text: str) -> Self:
        """The value of a text that fits the pattern."""

    @classmethod
    def refusal(cls, value: object) -> SpecError:
        """The error for a text that states no such value."""
        return SpecError(f"not a {cls.NOUN}", given=value, allowed=cls.ALLOWED, todo=cls.advice(value))

    @classmethod
    def advice(cls, value: object) -> str:
        """How to write what was probably meant."""
        return (
            "add the unit to the number" if isinstance(value, (int, float)) else "write it in one of the allowed forms"
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(collected(cls.parse))

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{cls.PATTERN})$"}


def collected(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """The parser with its SpecError turned into the kind of error that pydantic collects."""

    def validate(value: object) -> Any:
        try:
            return parse(value)
        except SpecError as error:
            raise wrong(error.what, allowed=error.allowed, todo=error.todo) from None

    return validate
