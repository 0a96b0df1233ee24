"""Which deployment gets the next request: exact shares at every moment, not only in the long run."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def schedule(shares: Mapping[str, int]) -> list[str]:
    """One round of choices: each name as often as its share says, spread as evenly as can be.

    Smooth weighted round robin: every name gains its share, the richest is chosen and pays for the round.
    """
    total = sum(shares.values())
    credit = dict.fromkeys(sorted(shares), 0)
    choices = []
    for _ in range(total):
        for name in credit:
            credit[name] += shares[name]
        richest = max(credit, key=credit.__getitem__)
        credit[richest] -= total
        choices.append(richest)
    return choices


def choices(shares: Mapping[str, int]) -> Iterator[str]:
    """The round again and again; nothing at all where every share is 0."""
    return cycle(schedule(shares))


def sample(percent: int) -> Iterator[bool]:
    """True for this percentage of the questions, spread as evenly as can be."""
    return cycle(name == "yes" for name in schedule({"yes": percent, "no": 100 - percent}))
