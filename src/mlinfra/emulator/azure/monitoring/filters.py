"""`$filter` of Azure Monitor's metrics: which values of which dimensions, and by which dimensions to split.

After the reference of Metrics - List: `A eq 'a1' and (B eq 'b1' or B eq 'b2') and C eq '*'`; `ne` and `sw` (begins
with) beside `eq`; what is joined by `or` names one dimension. A star splits by the dimension, as several values do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][\w.]*)|(?P<sign>[()]))")
_OPERATORS = ("eq", "ne", "sw")


class BadFilter(ValueError):
    """The text is no filter."""


@dataclass(frozen=True)
class Condition:
    """What one dimension's values must be: one of these comparisons must hold."""

    dimension: str
    comparisons: tuple[tuple[str, str], ...]  # operator, value

    def holds(self, value: str) -> bool:
        """Whether a value is meant."""
        return any(_compare(operator, wanted, value) for operator, wanted in self.comparisons)

    @property
    def splits(self) -> bool:
        """Whether each value gets a series of its own."""
        return self.comparisons != (("eq", ""),)


def read(text: str) -> list[Condition]:
    """The conditions of a filter; all must hold.

    Raises:
        BadFilter: it is none.
    """
    if not text.strip():
        return []
    tokens = _tokens(text)
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token.lower() == "and" and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    if depth:
        raise BadFilter("the parentheses do not match")
    found = [_condition(part) for part in parts]
    merged: dict[str, Condition] = {}
    for each in found:
        if each.dimension.lower() in merged:
            raise BadFilter(f"'{each.dimension}' is named twice")
        merged[each.dimension.lower()] = each
    return list(merged.values())


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadFilter(f"'{text[at:].strip()}' is not understood")
        found.append(match[0].strip())
        at = match.end()
    return found


def _condition(tokens: list[str]) -> Condition:
    bare = [token for token in tokens if token not in {"(", ")"}]
    dimension, comparisons = "", []
    while bare:
        if len(bare) < 3:  # noqa: PLR2004  dimension, operator, value
            raise BadFilter(f"'{' '.join(bare)}' is not understood")
        name, operator, value, *bare = bare
        if operator.lower() not in _OPERATORS or not value.startswith("'"):
            raise BadFilter(f"'{name} {operator} {value}' is not understood")
        if dimension and name.lower() != dimension.lower():
            raise BadFilter("'or' cannot separate two different dimensions")
        dimension = name
        comparisons.append((operator.lower(), value[1:-1].replace("''", "'")))
        if bare:
            joint, *bare = bare
            if joint.lower() != "or" or not bare:
                raise BadFilter(f"'{joint}' is not understood")
    if not dimension:
        raise BadFilter("a condition is empty")
    return Condition(dimension, tuple(comparisons))


def _compare(operator: str, wanted: str, value: str) -> bool:
    if operator == "eq":
        return wanted in {"*", ""} or wanted.lower() == value.lower()
    if operator == "ne":
        return wanted.lower() != value.lower()
    return value.lower().startswith(wanted.lower())
