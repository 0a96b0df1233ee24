"""Lengths of time, sizes, percentages and thresholds, written as people write them.

Each knows its unit, and `str()` gives one text for one value, so that `120m` and `2h` are the same in a digest.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Self

from mlinfra.errors import SpecError
from mlinfra.spec.notation import Notation, collected
from mlinfra.spec.scalars import Plain

_MILLISECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
)
_KIBIBYTE: Final = 1024
_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"Ti": _KIBIBYTE**4, "Gi": _KIBIBYTE**3, "Mi": _KIBIBYTE**2, "Ki": _KIBIBYTE}
)
_WHOLE: Final = 100  # percent


class Duration(Notation, float):
    """A length of time; the number is seconds."""

    NOUN = "length of time"
    PATTERN = r"(?=[0-9])(?:[0-9]{1,6}d)?(?:[0-9]{1,8}h)?(?:[0-9]{1,9}m(?!s))?(?:[0-9]{1,9}s)?(?:[0-9]{1,11}ms)?"
    ALLOWED = "a length of time such as 500ms, 30s, 5m, 2h, 30d or 1h30m, 366d at most"

    def __new__(cls, seconds: float) -> Self:
        """Rounded to milliseconds."""
        if not 0 <= seconds <= timedelta(days=366).total_seconds():
            raise cls.refusal(f"{seconds} seconds")
        return super().__new__(cls, round(seconds * 1_000) / 1_000)

    @classmethod
    def parse(cls, value: object) -> Self:
        """As every quantity, from a `timedelta` too."""
        return cls(value.total_seconds()) if isinstance(value, timedelta) else super().parse(value)

    @classmethod
    def read(cls, text: str) -> Self:
        """The sum of the parts."""
        parts = re.findall(r"([0-9]+)(ms|[dhms])", text)
        return cls(sum(int(count) * _MILLISECONDS[unit] for count, unit in parts) / 1_000)

    def __str__(self) -> str:
        milliseconds = round(self * 1_000)
        if not milliseconds:
            return "0s"
        unit, length = next((unit, length) for unit, length in _MILLISECONDS.items() if milliseconds % length == 0)
        return f"{milliseconds // length}{unit}"

    __repr__ = __str__


def positive_duration(value: object) -> Duration:
    """A length of time above zero."""
    duration = Duration.parse(value)
    if not duration:
        raise SpecError("no time at all", given=value, allowed=Duration.ALLOWED, todo="write more than 0s")
    return duration


class Size(Notation, int):
    """An amount of memory or disk; the number is bytes."""

    NOUN = "size"
    PATTERN = r"[0-9]{1,9}(?:\.[0-9]{1,3})?[KMGT]i"
    ALLOWED = "a size such as 512Mi, 16Gi or 1.5Ti (powers of 1024, whole Ki)"

    def __new__(cls, size: int) -> Self:
        """Whole Ki, at least one."""
        if size <= 0 or size % _KIBIBYTE:
            raise cls.refusal(f"{size} bytes")
        return super().__new__(cls, size)

    @classmethod
    def read(cls, text: str) -> Self:
        """The number times its unit."""
        size = Decimal(text[:-2]) * _BYTES[text[-2:]]
        if size % _KIBIBYTE:
            raise cls.refusal(text)
        return cls(int(size))

    @classmethod
    def advice(cls, value: object) -> str:
        """Name the binary unit beside the decimal one."""
        decimal = re.fullmatch(r"([0-9]{1,9})\s?([kKMGT])i?[bB]?", value) if isinstance(value, str) else None
        return f"write {decimal[1]}{decimal[2].upper()}i" if decimal else super().advice(value)

    def __str__(self) -> str:
        unit, length = next((unit, length) for unit, length in _BYTES.items() if self % length == 0)
        return f"{self // length}{unit}"

    __repr__ = __str__

    @property
    def gib(self) -> float:
        """In units of 2**30 bytes."""
        return int(self) / _BYTES["Gi"]


class Percent(Notation, float):
    """A percentage; the number is percent, `fraction` lies between 0 and 1."""

    NOUN = "percentage"
    PATTERN = r"[0-9]{1,3}(?:\.[0-9]{1,4})?%"
    ALLOWED = "a percentage such as 10% or 0.5%, 0% to 100%"

    def __new__(cls, points: float) -> Self:
        """Rounded to four decimals."""
        if not 0 <= points <= _WHOLE:
            raise cls.refusal(f"{points} percent")
        return super().__new__(cls, round(points, 4))

    @classmethod
    def read(cls, text: str) -> Self:
        """The number before the sign."""
        return cls(float(text[:-1]))

    @classmethod
    def advice(cls, value: object) -> str:
        """Take a fraction below one as a fraction, other numbers as percent."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _WHOLE:
            return super().advice(value)
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

    NOUN = "share of the traffic"
    PATTERN = r"[0-9]{1,3}%"
    ALLOWED = "whole percent such as 10%, 0% to 100%"

    def __new__(cls, points: float) -> Self:
        """Whole percent."""
        share = super().__new__(cls, points)
        if share % 1:
            raise cls.refusal(f"{points} percent")
        return share


_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
)


@dataclass(frozen=True, slots=True)
class Threshold(Notation):
    """A bound that a metric has to keep."""

    NOUN: ClassVar[str] = "comparison"
    PATTERN: ClassVar[str] = (
        r"(?:>=|<=|>|<) {0,4}[-+]?(?:[0-9]{1,100}(?:\.[0-9]{0,100})?|\.[0-9]{1,100})(?:[eE][-+]?[0-9]{1,3})?"
    )
    ALLOWED: ClassVar[str] = 'a comparison with a number such as ">= 0.80" or "< 12" (>=, <=, > or <)'

    comparison: str
    bound: float

    @classmethod
    def read(cls, text: str) -> Self:
        """The comparison, then the number."""
        comparison = text[: 2 if text[1] == "=" else 1]
        bound = float(text.removeprefix(comparison))
        if not math.isfinite(bound):
            raise cls.refusal(text)
        return cls(comparison, bound)

    @classmethod
    def advice(cls, value: object) -> str:
        """A bare number lacks its comparison."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return f'write ">= {value}", in quotes' if is_number else "write a comparison, in quotes"

    def holds(self, value: float) -> bool:
        """Whether a measured value keeps the bound; NaN never does."""
        return _COMPARISONS[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound!r}"


_DURATIONS = {"type": "string", "pattern": f"^(?:{Duration.PATTERN})$"}
PositiveDuration = Annotated[Duration, Plain(collected(positive_duration), Duration.ALLOWED, _DURATIONS)]


def bound(value: object) -> Percent | Duration:
    """A percentage or a length of time, whichever the unit says."""
    if isinstance(value, Percent) or (isinstance(value, str) and value.endswith("%")):
        return Percent.parse(value)
    return Duration.parse(value)


Bound = Annotated[Percent | Duration, Plain(collected(bound), "1% or 500ms", {"type": "string"})]
