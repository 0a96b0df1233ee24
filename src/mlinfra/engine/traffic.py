"""Shares of traffic: whole percents that always sum to 100. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE = 100


def mix(old: Mapping[str, int], new: Mapping[str, int], percent: int) -> dict[str, int]:
    """The split `percent` of the way from one split to another, by deployment.

    Both sum to 100, and so does the result. A deployment that the new split wants gets at least 1 as soon as the way
    has begun: without traffic there would be nothing to judge it by.
    """
    names = [*new, *(name for name in old if name not in new)]
    exact = {name: old.get(name, 0) * (WHOLE - percent) + new.get(name, 0) * percent for name in names}
    shares = _rounded(exact)
    begun = percent > 0
    for name in names:
        if begun and new.get(name, 0) and not shares[name]:
            shares[max(names, key=lambda other: shares[other])] -= 1
            shares[name] = 1
    return shares


def check(shares: Mapping[str, int]) -> dict[str, int]:
    """The shares, if they are ones.

    Raises:
        UsageError: a share is no whole percent, or they do not sum to 100.
    """
    whole = all(type(share) is int and 0 <= share <= WHOLE for share in shares.values())
    if whole and sum(shares.values()) == WHOLE:
        return dict(shares)
    raise UsageError(
        "traffic must be whole percents that sum to 100",
        given=tell(shares),
        allowed="integers from 0 to 100",
        todo="correct the shares",
    )


def tell(shares: Mapping[str, object]) -> str:
    """A split in words, for people: `main-1a2b 90 %, main-3c4d 10 %`."""
    return ", ".join(f"{name} {share} %" for name, share in shares.items()) or "none"


def _rounded(exact: Mapping[str, int]) -> dict[str, int]:
    """Hundredths of percents to whole ones by largest remainder; ties go to who comes first."""
    shares = {name: hundredths // WHOLE for name, hundredths in exact.items()}
    missing = round(sum(exact.values()) / WHOLE) - sum(shares.values())
    by_remainder = sorted(exact, key=lambda name: -(exact[name] % WHOLE))
    for name in by_remainder[:missing]:
        shares[name] += 1
    return shares
