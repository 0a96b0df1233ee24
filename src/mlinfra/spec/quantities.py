"""Lengths of time, sizes, percentages and thresholds, written as people write them.

Each knows its unit, and `str()` gives one text for one value, so that `120m` and `2h` are the same in a digest.
"""

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from mlinfra.errors import SpecError
from mlinfra.spec.findings import wrong

_MILLISECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
)
_KIBIBYTE: Final = 1024
_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"Ti": _KIBIBYTE**4, "Gi": _KIBIBYTE**3, "Mi": _KIBIBYTE**2, "Ki": _KIBIBYTE}
)
_WHOLE: Final = 100  # percent


class Quantity(ABC):
    """What the quantities share: one pattern says how they are written, in Python, in files and in editors."""

    PATTERN: ClassVar[str]
    ALLOWED: ClassVar[str]

    @classmethod
    def parse(cls, value: object) -> Self:
        """The quantity that a text states. A quantity is returned as it is; SpecError for anything else."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and re.fullmatch(cls.PATTERN, value):
            return cls._read(value)
        raise cls._refusal(value)

    @classmethod
    @abstractmethod
    def _read(cls, text: str) -> Self:
        """The quantity of a text that fits the pattern."""

    @classmethod
    def _refusal(cls, value: object) -> SpecError:
        return SpecError(f"not a {cls.__name__.lower()}", given=value, allowed=cls.ALLOWED, todo=cls._advice(value))

    @classmethod
    def _advice(cls, value: object) -> str:
        return "add the unit to the number" if isinstance(value, (int, float)) else "write it in one of the allowed forms"

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


class Duration(Quantity, float):
    """A length of time; the number is seconds."""

    PATTERN = r"(?=\d)(?:\d{1,6}d)?(?:\d{1,8}h)?(?:\d{1,9}m(?!s))?(?:\d{1,9}s)?(?:\d{1,9}ms)?"
    ALLOWED = "a length of time such as 500ms, 30s, 5m, 2h, 30d or 1h30m, 366d at most"

    def __new__(cls, seconds: float) -> Self:
        """Rounded to milliseconds."""
        if not 0 <= seconds <= timedelta(days=366).total_seconds():
            raise cls._refusal(f"{seconds} seconds")
        return super().__new__(cls, round(seconds * 1_000) / 1_000)

    @classmethod
    def parse(cls, value: object) -> Self:
        """As every quantity, from a `timedelta` too."""
        return cls(value.total_seconds()) if isinstance(value, timedelta) else super().parse(value)

    @classmethod
    def _read(cls, text: str) -> Self:
        parts = re.findall(r"(\d+)(ms|[dhms])", text)
        return cls(sum(int(count) * _MILLISECONDS[unit] for count, unit in parts) / 1_000)

    def __str__(self) -> str:
        milliseconds = round(self * 1_000)
        if not milliseconds:
            return "0s"
        unit, length = next((unit, length) for unit, length in _MILLISECONDS.items() if milliseconds % length == 0)
        return f"{milliseconds // length}{unit}"

    __repr__ = __str__


class Size(Quantity, int):
    """An amount of memory or disk; the number is bytes."""

    PATTERN = r"\d{1,9}(?:\.\d{1,3})?[KMGT]i"
    ALLOWED = "a size such as 512Mi, 16Gi or 1.5Ti (powers of 1024, whole Ki)"

    def __new__(cls, size: int) -> Self:
        """Whole Ki, at least one."""
        if size <= 0 or size % _KIBIBYTE:
            raise cls._refusal(f"{size} bytes")
        return super().__new__(cls, size)

    @classmethod
    def _read(cls, text: str) -> Self:
        size = Decimal(text[:-2]) * _BYTES[text[-2:]]
        if not size or size % _KIBIBYTE:
            raise cls._refusal(text)
        return cls(int(size))

    @classmethod
    def _advice(cls, value: object) -> str:
        decimal = re.fullmatch(r"(\d{1,9})\s?([kKMGT])i?[bB]?", value) if isinstance(value, str) else None
        return f"write {decimal[1]}{decimal[2].upper()}i" if decimal else super()._advice(value)

    def __str__(self) -> str:
        unit, length = next((unit, length) for unit, length in _BYTES.items() if self % length == 0)
        return f"{self // length}{unit}"

    __repr__ = __str__

    @property
    def gib(self) -> float:
        """In units of 2**30 bytes."""
        return int(self) / _BYTES["Gi"]


class Percent(Quantity, float):
    """A percentage; the number is percent, `fraction` lies between 0 and 1."""

    PATTERN = r"\d{1,3}(?:\.\d{1,4})?%"
    ALLOWED = "a percentage such as 10% or 0.5%, 0% to 100%"

    def __new__(cls, points: float) -> Self:
        """Rounded to four decimals."""
        if not 0 <= points <= _WHOLE:
            raise cls._refusal(f"{points} percent")
        return super().__new__(cls, round(points, 4))

    @classmethod
    def _read(cls, text: str) -> Self:
        return cls(float(text[:-1]))

    @classmethod
    def _advice(cls, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _WHOLE:
            return super()._advice(value)
        return f"write {value * _WHOLE:g}%" if 0 < value < 1 else f"write {value:g}%"

    def __str__(self) -> str:
        return f"{float(self):.4f}".rstrip("0").rstrip(".") + "%"

    __repr__ = __str__

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return float(self) / _WHOLE


class Share(Percent):
    """A share of traffic: whole percent, since no platform splits finer."""

    PATTERN = r"\d{1,3}%"
    ALLOWED = "whole percent such as 10%, 0% to 100%"

    def __new__(cls, points: float) -> Self:
        """Whole percent."""
        share = super().__new__(cls, points)
        if share % 1:
            raise cls._refusal(f"{points} percent")
        return share


_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
)


@dataclass(frozen=True, slots=True)
class Threshold(Quantity):
    """A bound that a metric has to keep."""

    PATTERN: ClassVar[str] = r"(?:>=|<=|>|<) {0,4}[-+]?(?:\d{1,100}(?:\.\d{0,100})?|\.\d{1,100})(?:[eE][-+]?\d{1,3})?"
    ALLOWED: ClassVar[str] = 'a comparison with a number such as ">= 0.80" or "< 12" (>=, <=, > or <)'

    comparison: str
    bound: float

    @classmethod
    def _read(cls, text: str) -> Self:
        comparison = text[: 2 if text[1] == "=" else 1]
        bound = float(text.removeprefix(comparison))
        if not math.isfinite(bound):
            raise cls._refusal(text)
        return cls(comparison, bound)

    def holds(self, value: float) -> bool:
        """Whether a measured value keeps the bound; NaN never does."""
        return _COMPARISONS[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound!r}"
