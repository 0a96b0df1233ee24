"""Who gets the next request: exact shares at every moment, by weights of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

K = TypeVar("K")

_WHOLE = 100.0


class Split(Generic[K]):
    """Smooth weighted round robin. Weights are relative; one of 0 gets nothing. Callers bring their own lock."""

    def __init__(self, weights: Mapping[K, float]) -> None:
        total = sum(weights.values())
        self._shares = {key: weight / total for key, weight in weights.items() if weight > 0} if total else {}
        self._credit = dict.fromkeys(self._shares, 0.0)

    def next(self) -> K | None:
        """Whose turn it is; None where nobody has a weight."""
        if len(self._shares) == 1:
            return next(iter(self._shares))
        credit = self._credit
        for key, share in self._shares.items():
            credit[key] += share
        if not credit:
            return None
        richest = max(credit, key=credit.__getitem__)
        credit[richest] -= 1.0
        return richest


def sample(percent: float) -> Split[bool]:
    """True for this percentage of the turns."""
    return Split({True: percent, False: _WHOLE - percent})
