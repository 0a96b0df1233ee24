"""Reading CloudWatch's log streams from where the last reading ended, several streams as one.

FilterLogEvents (API description) merges streams by time and has no cursor that outlives its pages; and lines of one
node may arrive after later lines of another. So a position is a moment a little back, with the marks of the lines
after it that were seen. `Follow` is an operation of the adapter's own: its client sends FilterLogEvents and leaves out
what was seen.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import LogLine, LogPage
from mlinfra.contract.requests import Request
from mlinfra_aws.config import LOGS, READ

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.contract.requests import Document

FOLLOW = "Follow"
_BACK = 10_000  # milliseconds; CloudWatch takes lines in within a few seconds
_MARKS = 200  # lines that a position remembers
_MARK_DIGITS = 10


def read(group: str, prefix: str, token: str | None, *, pattern: str = "") -> Request:
    """The next lines of the streams of a group whose names begin with `prefix`; all that `pattern` matches, if any."""
    body: Document = {"logGroupName": group, "logStreamNamePrefix": prefix, "position": token or ""}
    if pattern:
        body["filterPattern"] = pattern
    return Request(step="logs", service=LOGS, operation=FOLLOW, body=body, effect=False, quota=READ)


def follow(body: Mapping[str, Any], send: Callable[[Document], Document]) -> Document:
    """Do a `Follow` by sending FilterLogEvents, over pages that hold nothing new, to the first that does or the last.

    The position stays the same where nothing is new.
    """
    position = _position(body["position"])
    fresh: list[Document] = []
    while not fresh:
        fresh, position = _rest(send(_native(body, position)), position)
        if not position["next"]:
            break
    return {"events": fresh, "position": json.dumps(position, separators=(",", ":"))}


def page(reply: Mapping[str, Any]) -> LogPage:
    """The lines in a reply of `Follow`; their source is the node or replica that the stream's name tells."""
    return LogPage(tuple(map(_line, reply["events"])), reply["position"])


def _line(event: Mapping[str, Any]) -> LogLine:
    moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    stream = event["logStreamName"].partition("/")[2]
    return LogLine(moment, stream.rpartition("-")[0] or stream, event["message"].rstrip("\n"))


def _native(body: Mapping[str, Any], position: Document) -> Document:
    asked: Document = {name: value for name, value in body.items() if name != "position"}
    if position["start"]:
        asked["startTime"] = position["start"]
    if position["next"]:
        asked["nextToken"] = position["next"]
    return asked


def _rest(reply: Mapping[str, Any], position: Document) -> tuple[list[Document], Document]:
    """What was not seen before, and where to go on."""
    seen = {mark for _, mark in position["seen"]}
    marked = [(event, _mark(event)) for event in reply.get("events", ())]
    fresh = [(event, mark) for event, mark in marked if mark not in seen]
    known = [*position["seen"], *([event["timestamp"], mark] for event, mark in fresh)]
    return [event for event, _ in fresh], _advanced(position["start"], known, reply.get("nextToken") or "")


def _advanced(start: int, known: list[list[Any]], token: str) -> Document:
    """With further pages to come the beginning stays, or the vendor's token would not fit it."""
    known = sorted(known)
    forgotten = known[:-_MARKS]
    known = known[-_MARKS:]
    if not token and known:
        start = max(start, known[-1][0] - _BACK, forgotten[-1][0] + 1 if forgotten else 0)
        known = [each for each in known if each[0] >= start]
    return {"start": start, "seen": known, "next": token}


def _position(token: str) -> Document:
    position: Document = json.loads(token) if token else {"start": 0, "seen": [], "next": ""}
    return position


def _mark(event: Mapping[str, Any]) -> str:
    text = f"{event['logStreamName']}\n{event['eventId']}"
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS]
