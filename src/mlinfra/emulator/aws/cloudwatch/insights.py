"""Queries of Metrics Insights: one function over the observations of all metrics that match, as one series.

After CloudWatch's guide, "Query components and syntax in CloudWatch Metrics Insights". Emulated are AVG, COUNT, MAX,
MIN and SUM, a namespace or SCHEMA, and dimensions compared by `=` and joined by AND.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.emulator.aws.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

_FUNCTIONS = {"AVG": "Average", "COUNT": "SampleCount", "MAX": "Maximum", "MIN": "Minimum", "SUM": "Sum"}
_NAME = r'(?:"[^"]+"|[A-Za-z_]\w*)'  # whatever holds other characters stands in double quotes
_VALUE = r"(?:'(?:[^']|'')*')"
_CONDITION = rf"{_NAME}\s*=\s*{_VALUE}"
_BEGIN = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_QUERY = re.compile(
    rf"\s*SELECT\s+(?P<function>{'|'.join(_FUNCTIONS)})\s*\(\s*(?P<metric>{_NAME})\s*\)"
    rf"\s+FROM\s+(?:SCHEMA\s*\(\s*(?P<schema>{_NAME}(?:\s*,\s*{_NAME})*)\s*\)|(?P<namespace>{_NAME}))"
    rf"(?:\s+WHERE\s+(?P<where>{_CONDITION}(?:\s+AND\s+{_CONDITION})*))?\s*;?\s*",
    re.IGNORECASE,
)
_PAIR = re.compile(rf"({_NAME})\s*=\s*({_VALUE})")


@dataclass(frozen=True)
class Query:
    """What a query asks for. `keys` are the dimensions that a metric has exactly, None for any."""

    statistic: str  # in the words of GetMetricStatistics
    metric: str
    namespace: str
    keys: frozenset[str] | None
    where: Mapping[str, str]

    def fits(self, dimensions: Mapping[str, str]) -> bool:
        """Whether a metric with these dimensions is among those asked for."""
        exact = self.keys is None or self.keys == dimensions.keys()
        return exact and all(dimensions.get(name) == value for name, value in self.where.items())


def is_query(expression: str) -> bool:
    """Whether an expression is a query, and no metric math."""
    return _BEGIN.match(expression) is not None


def parse(expression: str) -> Query:
    """Read a query.

    Raises:
        Refusal: it holds what is not emulated.
    """
    found = _QUERY.fullmatch(expression)
    if found is None:
        raise refusals.not_emulated(f"the Metrics Insights query {expression!r}")
    names = [_bare(name) for name in re.findall(_NAME, found["schema"] or found["namespace"])]
    return Query(
        statistic=_FUNCTIONS[found["function"].upper()],
        metric=_bare(found["metric"]),
        namespace=names[0],
        keys=frozenset(names[1:]) if found["schema"] else None,
        where={_bare(name): value[1:-1].replace("''", "'") for name, value in _PAIR.findall(found["where"] or "")},
    )


def _bare(name: str) -> str:
    return name.strip('"')
