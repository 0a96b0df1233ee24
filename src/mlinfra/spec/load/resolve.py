"""What a scalar without quotes means: the core schema of YAML 1.2, and what older readers take for something else."""

import math
import re
from collections.abc import Callable
from typing import Final

from mlinfra.spec.scalars import UnclearNumber, UnclearText

_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MOST_DIGITS: Final = 400  # more than any number needs; Python refuses to read integers of thousands

_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[str], object]], ...]] = (
    (re.compile(r"[-+]?0[0-9]+|0o[0-7]+"), UnclearNumber),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]*)"), int),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), lambda _text: math.inf),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
    (re.compile(r"(?i:y|yes|n|no|on|off)"), UnclearText),
    (re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+)"), UnclearText),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), UnclearText),  # base 60
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?"), UnclearText),
)


def resolve(text: str) -> object:
    """The value; an infinite float where it is not finite or beyond what a float holds."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MOST_DIGITS and text[0] in "+-.0123456789yYnNoO":
        for form, make in _FORMS:
            if form.fullmatch(text):
                return make(text)
    return text
