"""Where each key and value of a document stands in its file."""

from dataclasses import dataclass, field
from typing import NamedTuple

from mlinfra.spec.findings import Loc, dotted


class Mark(NamedTuple):
    """A place in a file, both counted from 1, columns in characters."""

    line: int
    column: int


class Place(NamedTuple):
    """Where a value stands, where its key does, and a single value as it was written."""

    value: Mark
    key: Mark
    text: str | None = None  # None: a list, a mapping or an alias


@dataclass(frozen=True)
class Positions:
    """The places of one document. What an alias brings in stands where the alias stands."""

    file: str
    places: dict[Loc, Place] = field(default_factory=dict)

    def seen(self, loc: Loc) -> Loc:
        """The longest beginning of `loc` that is written in the file."""
        while loc and loc not in self.places:
            loc = loc[:-1]
        return loc

    def mark(self, loc: Loc, *, at_key: bool = False) -> Mark:
        """Where the value, or its key, stands; for what is not written, where it would belong."""
        place = self.places.get(self.seen(loc))
        if place is None:
            return Mark(1, 1)
        return place.key if at_key else place.value

    def find(self, path: str) -> Loc:
        """The place that a problem's path names, as far as it is written in the file."""
        best: Loc = ()
        for loc in self.places:
            if len(loc) > len(best) and (
                path == dotted(loc) or path.startswith((f"{dotted(loc)}.", f"{dotted(loc)}["))
            ):
                best = loc
        return best

    def text(self, loc: Loc) -> str | None:
        """A single value as it was written."""
        place = self.places.get(loc)
        return place.text if place else None
