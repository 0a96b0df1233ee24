"""How long each state lasts: a table of seconds, and a walk through states by the time elapsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Delays:
    """Named lengths of time in virtual seconds, all stretched by one scale."""

    def __init__(self, table: Mapping[str, float], scale: float = 1.0) -> None:
        if scale < 0:
            raise ValueError(f"scale must not be below 0, not {scale}")
        self._table = dict(table)
        self.scale = scale

    def seconds(self, name: str) -> float:
        """How long that takes. KeyError for a name that the table does not have."""
        return self._table[name] * self.scale


class Passage(NamedTuple):
    """One state that was entered. Seconds count from the first state's begin; `end` is None while it lasts."""

    name: str
    begin: float
    end: float | None


class Stages:
    """States one after the other, each for so many seconds; the last one stays, whatever its length."""

    def __init__(self, *stages: tuple[str, float]) -> None:
        if not stages:
            raise ValueError("at least one state")
        self._stages = stages

    @property
    def total(self) -> float:
        """Seconds until the last state has lasted its length."""
        return sum(length for _, length in self._stages)

    def at(self, elapsed: float) -> str:
        """The state after so many seconds."""
        return self.passed(elapsed)[-1].name

    def begin(self, name: str) -> float:
        """After how many seconds a state is entered. KeyError where there is no such state."""
        passages = {each.name: each for each in reversed(self.passed(float("inf")))}
        return passages[name].begin

    def passed(self, elapsed: float) -> list[Passage]:
        """The states entered so far, in order; the first is entered at once."""
        found = []
        begin = 0.0
        last = len(self._stages) - 1
        for number, (name, length) in enumerate(self._stages):
            end = begin + length
            ended = number < last and elapsed >= end
            found.append(Passage(name, begin, end if ended else None))
            if not ended:
                break
            begin = end
        return found
