"""Logs as segments of stamped lines, written by one process per source and read by anybody, from any place on.

A segment's file name holds the position at which it begins, so that a position means the same after the oldest
segments have been dropped.
"""

from __future__ import annotations

import heapq
import json
import os
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.host import tokens
from mlinfra.host.clock import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SEGMENT_BYTES = 8 << 20
SEGMENTS = 64  # per source; what is older goes, so that a chatty job cannot fill the disk
LONGEST_LINE = 64 << 10  # bytes; longer ones are cut into several
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a progress bar's \r ends a line; one at the end may belong to \n
_STAMP = 28  # characters of a time and the blank after it
_DIGITS = 15
_NAME = re.compile(rf"(?P<source>.+)\.(?P<start>\d{{{_DIGITS}}})\.log")


class LogLine(NamedTuple):
    """One line. `source` names the node, the replica or the part of the host that wrote it."""

    time: str
    source: str
    text: str


class LogPage(NamedTuple):
    """Some lines and the token to go on from, also where there are no more lines at present."""

    lines: list[LogLine]
    token: str


class _Segment(NamedTuple):
    start: int
    path: Path


class LogWriter:
    """Stamps and writes one source's output. A full disk loses lines, which are counted, and never raises."""

    def __init__(
        self, folder: Path, source: str, *, segment_bytes: int = SEGMENT_BYTES, segments: int = SEGMENTS
    ) -> None:
        self._folder = folder
        self._source = source
        self._segment_bytes = segment_bytes
        self._segments = segments
        self._partial = b""
        self._lost = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        present = _segments(folder).get(source, [])
        self._start = present[-1].start if present else 0
        self._size = _mend(present[-1].path) if present else 0
        self._file = self._open(self._start)

    def feed(self, data: bytes) -> None:
        """Take output as it comes; whole lines are written at once, the rest is kept for the next call."""
        *lines, self._partial = _LINE_END.split(self._partial + data)
        while len(self._partial) > LONGEST_LINE:
            lines.append(self._partial[:LONGEST_LINE])
            self._partial = self._partial[LONGEST_LINE:]
        if lines:
            self._write(lines)

    def say(self, text: str) -> None:
        """Write a message of the host's own."""
        self._write(text.encode().splitlines())

    def close(self) -> None:
        """Write what has no line end yet, and close."""
        if self._partial:
            self._write([self._partial.rstrip(b"\r")])
            self._partial = b""
        os.close(self._file)

    def _write(self, lines: list[bytes]) -> None:
        time = stamp()
        notice = [f"({self._lost} lines were lost: the disk was full)".encode()] if self._lost else []
        pieces = (
            line[at : at + LONGEST_LINE] for line in notice + lines for at in range(0, len(line) or 1, LONGEST_LINE)
        )
        stamped = "".join(f"{time} {piece.decode('utf-8', 'replace')}\n" for piece in pieces)
        if self._append(stamped.encode()):
            self._lost = 0
        else:
            self._lost += len(lines)

    def _append(self, data: bytes) -> bool:
        """Whether all of it was written; if not, none of it was."""
        try:
            if self._size and self._size + len(data) > self._segment_bytes:
                self._rotate()
            written = os.write(self._file, data)
        except OSError:
            written = 0
        if written == len(data):
            self._size += written
            return True
        os.ftruncate(self._file, self._size)
        return False

    def _rotate(self) -> None:
        following = self._open(self._start + self._size)
        os.close(self._file)
        self._file = following
        self._start += self._size
        self._size = 0
        for segment in _segments(self._folder)[self._source][: -self._segments]:
            segment.path.unlink(missing_ok=True)

    def _open(self, start: int) -> int:
        path = self._folder / f"{self._source}.{start:0{_DIGITS}d}.log"
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def read(folder: Path, token: str | None, limit: int, wanted: Callable[[str], bool] = lambda _source: True) -> LogPage:
    """The next lines of all wanted sources in the order of their times; without a token from the beginning.

    Raises:
        UsageError: the token was not made here.
    """
    positions = _positions(token) if token else {}
    streams = [
        _lines(source, segments, positions.get(source, 0), limit)
        for source, segments in _segments(folder).items()
        if wanted(source)
    ]
    lines: list[LogLine] = []
    for line, position in heapq.merge(*streams, key=lambda item: item[0].time):
        if len(lines) == limit:
            break
        lines.append(line)
        positions[line.source] = position
    return LogPage(lines, tokens.encode(json.dumps(positions)))


def tail(folder: Path, source: str, lines: int) -> list[str]:
    """The last lines of one source, without their times."""
    segments = _segments(folder).get(source, [])
    text = b"".join(segment.path.read_bytes() for segment in segments[-2:])
    return [line[_STAMP:] for line in text.decode().split("\n")[-lines - 1 : -1]]


def _lines(source: str, segments: list[_Segment], position: int, limit: int) -> Iterator[tuple[LogLine, int]]:
    """Up to `limit` whole lines from a position on, each with the position after it."""
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if following and following.start <= position:
            continue
        position = max(position, segment.start)  # a dropped segment is skipped
        for raw in _whole_lines(segment.path, position - segment.start, limit):
            limit -= 1
            position += len(raw)
            text = raw[:-1].decode()
            yield LogLine(text[: _STAMP - 1], source, text[_STAMP:]), position


def _whole_lines(path: Path, offset: int, limit: int) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # dropped, or the whole job deleted, since it was listed
        return
    with file:
        file.seek(offset)
        for raw in islice(file, limit):
            if raw.endswith(b"\n"):  # else its writer is still at it
                yield raw


def _segments(folder: Path) -> dict[str, list[_Segment]]:
    found: dict[str, list[_Segment]] = {}
    for path in sorted(folder.glob("*.log")):
        match = _NAME.fullmatch(path.name)
        if match:
            found.setdefault(match["source"], []).append(_Segment(int(match["start"]), path))
    return found


def _mend(path: Path) -> int:
    """Cut a line that its writer did not live to finish. Returns the size of what stands."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return whole


def _positions(token: str) -> dict[str, int]:
    try:
        return {str(source): int(position) for source, position in json.loads(tokens.decode(token)).items()}
    except (ValueError, TypeError, AttributeError) as exc:
        raise tokens.refused(token) from exc
