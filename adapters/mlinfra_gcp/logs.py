"""Reading Cloud Logging from where the last reading ended, several replicas as one.

`entries.list` (Logging API v2) merges entries by time and its page tokens die with the query; and lines of one replica
may arrive after later lines of another. So a position is a moment a little back, with the marks of the entries after
it that were seen. `Follow` is an operation of the adapter's own: its client sends ListLogEntries and leaves out what
was seen.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import LogLine, LogPage
from mlinfra.contract.requests import Request
from mlinfra_gcp.config import LOGS, READ_LOGS
from mlinfra_gcp.times import nanoseconds, time_of
from mlinfra_gcp.times import text_of as text_of_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.contract.requests import Document

FOLLOW = "Follow"
JOB, ENDPOINT = "ml_job", "aiplatform.googleapis.com/Endpoint"  # monitored resources
_BACK = 10 * 10**9  # nanoseconds; Cloud Logging takes lines in within a few seconds
_MARKS = 200  # entries that a position remembers
_MARK_DIGITS = 10
_PAGE = 1000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # of an entry without a time
_SOURCES = ("task_name", "replica_id", "pod_name")  # labels that name a node or replica, the best first


def read(project: str, chosen: str, token: str | None, *, since: str = "") -> Request:
    """The next lines of a project's logs that a filter chooses. `since` bounds the first reading (RFC 3339)."""
    body: Document = {"project": project, "filter": chosen, "since": since, "position": token or ""}
    return Request(step="logs", service=LOGS, operation=FOLLOW, body=body, effect=False, quota=READ_LOGS)


def of(resource_type: str, **labels: str) -> str:
    """A filter for the lines of one monitored resource."""
    parts = [f'resource.type="{resource_type}"']
    parts += [f'resource.labels.{name}="{value}"' for name, value in labels.items()]
    return " AND ".join(parts)


def follow(body: Mapping[str, Any], send: Callable[[Document], Document]) -> Document:
    """Do a `Follow` by sending entries.list, over pages that hold nothing new, to the first that does or the last.

    The position stays the same where nothing is new.
    """
    position = _position(body)
    fresh: list[Document] = []
    while not fresh:
        fresh, position = _rest(send(_native(body, position)), position)
        if not position["next"]:
            break
    return {"entries": fresh, "position": json.dumps(position, separators=(",", ":"))}


def page(reply: Mapping[str, Any]) -> LogPage:
    """The lines in a reply of `Follow`; their source is the node or replica that the entry's labels tell."""
    return LogPage(tuple(map(_line, reply["entries"])), reply["position"])


def text_of(entry: Mapping[str, Any]) -> str:
    """A line as the container printed it: Vertex AI takes JSON lines apart and keeps the others as text."""
    if "textPayload" in entry:
        return str(entry["textPayload"]).rstrip("\n")
    payload = entry.get("jsonPayload") or entry.get("protoPayload") or {}
    return str(payload["message"]).rstrip("\n") if "message" in payload else json.dumps(payload)


def _line(entry: Mapping[str, Any]) -> LogLine:
    labels = {**entry.get("labels", {}), **entry.get("resource", {}).get("labels", {})}
    short = {name.rpartition("/")[2]: value for name, value in labels.items()}
    source = next((short[name] for name in _SOURCES if short.get(name)), "")
    return LogLine(time_of(entry["timestamp"]) or _BEGINNING, source, text_of(entry))


def _native(body: Mapping[str, Any], position: Document) -> Document:
    asked: Document = {
        "resourceNames": [f"projects/{body['project']}"],
        "filter": f'{body["filter"]} AND timestamp>="{text_of_moment(position["start"])}"',
        "orderBy": "timestamp asc",
        "pageSize": _PAGE,
    }
    return {**asked, "pageToken": position["next"]} if position["next"] else asked


def _rest(reply: Mapping[str, Any], position: Document) -> tuple[list[Document], Document]:
    """What was not seen before, and where to go on."""
    seen = {mark for _, mark in position["seen"]}
    marked = [(entry, _mark(entry)) for entry in reply.get("entries", ())]
    fresh = [(entry, mark) for entry, mark in marked if mark not in seen]
    known = [*position["seen"], *([nanoseconds(entry["timestamp"]), mark] for entry, mark in fresh)]
    return [entry for entry, _ in fresh], _advanced(position["start"], known, reply.get("nextPageToken") or "")


def _advanced(start: int, known: list[list[Any]], token: str) -> Document:
    """With further pages to come the beginning stays, or the vendor's token would not fit it."""
    known = sorted(known)
    forgotten = known[:-_MARKS]
    known = known[-_MARKS:]
    if not token and known:
        start = max(start, known[-1][0] - _BACK, forgotten[-1][0] + 1 if forgotten else 0)
        known = [each for each in known if each[0] >= start]
    return {"start": start, "seen": known, "next": token}


def _position(body: Mapping[str, Any]) -> Document:
    since = nanoseconds(body["since"]) if body.get("since") else 0
    given: Document = {"start": since, "seen": [], "next": ""}
    return json.loads(body["position"]) if body["position"] else given


def _mark(entry: Mapping[str, Any]) -> str:
    text = f"{entry.get('logName', '')}\n{entry['timestamp']}\n{entry.get('insertId', '')}"
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS]
