"""A job's lines on their way from the host to wherever its cloud keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

_PAGE = 1000
_NODE = "node-"  # how the host names the source of a node's lines


class Line(NamedTuple):
    """One line of a node."""

    at: datetime
    text: str


class LogPump:
    """Carries the lines of one attempt from the host.

    `read` is the host's GetJobLogs from a token on, `put` takes the lines of the node of a rank, `shift` is how far
    the emulator's time is ahead of the host's.
    """

    def __init__(
        self,
        read: Callable[[str | None], Mapping[str, Any]],
        put: Callable[[int, list[Line]], None],
        shift: Callable[[], timedelta],
    ) -> None:
        self._read = read
        self._put = put
        self._shift = shift
        self._token: str | None = None
        self._last: dict[int, datetime] = {}

    def pump(self) -> None:
        """Carry what is new. Returns when there is no more."""
        while True:
            page = self._read(self._token)
            self._token = page["token"]
            self._carry(page["lines"])
            if len(page["lines"]) < _PAGE:
                return

    def _carry(self, lines: Sequence[Mapping[str, str]]) -> None:
        nodes: dict[int, list[Line]] = {}
        shift = self._shift()
        for line in lines:
            rank = line["source"].removeprefix(_NODE)
            if rank == line["source"]:
                continue  # the host's own words are not the container's
            at = self._moment(int(rank), datetime.fromisoformat(line["time"]) + shift)
            nodes.setdefault(int(rank), []).append(Line(at, line["text"]))
        for number, told in nodes.items():
            self._put(number, told)

    def _moment(self, rank: int, at: datetime) -> datetime:
        """The time of a line, never before the one above it: two clocks are read, one after the other."""
        self._last[rank] = max(at, self._last.get(rank, at))
        return self._last[rank]
