r"""The patterns of the SageMaker description that Python's `re` cannot read, one by one.

14 name Unicode categories (`\p{L}`), two of which end in a malformed quantifier, four write surrogate pairs as Java
does. The malformed ones are read as what the shape's `max` says beside them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class _Letters:
    """Texts of characters of some Unicode categories (by first letter) and of some others."""

    categories: str
    others: str = ""
    least: int = 0
    most: int | None = None

    def __call__(self, text: str) -> bool:
        if len(text) < self.least or (self.most is not None and len(text) > self.most):
            return False
        return all(letter in self.others or unicodedata.category(letter)[0] in self.categories for letter in text)


_TAG = _Letters("LZN", "_.:/=+-@")
_FEATURE = _Letters("LZN", "_.:/=+-")
_PRINTED = _Letters("LMSNP", least=1)
_PROSE = _Letters("LMZSNP")
_XML = re.compile("[\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff\t]*")
_LAMBDA = re.compile(r"arn:[A-Za-z0-9\-]+:lambda:[A-Za-z0-9\-]+:[0-9]{12}:function:.*")


def _whole(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


BY_SHAPE: dict[str, Callable[[str], bool]] = {
    "AthenaCatalog": _whole(_XML),
    "Catalog": _whole(_XML),
    "CognitoUserGroup": _PRINTED,
    "CustomerMetadataKey": _Letters("LZN", "_.:/=+-@", least=1, most=128),
    "CustomerMetadataValue": _Letters("LZN", "_.:/=+-@", least=1, most=256),
    "Database": _whole(_XML),
    "EntityDescription": _PROSE,
    "FeatureParameterKey": _FEATURE,
    "FeatureParameterValue": _FEATURE,
    "Group": _PRINTED,
    "ModelPackageSourceUri": _Letters("LMZNP", most=1024),
    "ParameterName": _PROSE,
    "TableName": _whole(_XML),
    "TagKey": _TAG,
    "TagValue": _TAG,
    "TrainingRepositoryCredentialsProviderArn": _whole(_LAMBDA),
    "VisibilityConditionsKey": _TAG,
    "VisibilityConditionsValue": _TAG,
}


# What Java writes otherwise, as SageMaker Runtime's description does.
_JAVA = {r"\p{ASCII}": r"[\x00-\x7f]", r"[\p{Print}]": r"[\x20-\x7e]", r"\z": r"\Z"}


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for theirs, ours in _JAVA.items():
        pattern = pattern.replace(theirs, ours)
    return re.compile(pattern, re.ASCII)  # \d and \w mean ASCII in Java's patterns


def fits(shape_name: str, pattern: str, text: str) -> bool:
    """Whether the whole text is what a shape's pattern describes.

    Raises:
        re.error: the pattern is new, and not one that Python can read.
    """
    own = BY_SHAPE.get(shape_name)
    return own(text) if own else _compiled(pattern).fullmatch(text) is not None
