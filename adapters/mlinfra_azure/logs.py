"""Reading a job's log files from where the last reading ended, several nodes as one.

Run history tells a run's log files with addresses that need no further token (its own API, as azure-ai-ml's `stream`
uses it); they grow, and are read by ranges of bytes. So a position is how far each file was read. Lines carry no time:
theirs is when the file was last written. `Follow` is an operation of the adapter's own: its client asks for the run's
details and reads what is new.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.contract.jobs import LogLine, LogPage
from mlinfra.contract.requests import Request
from mlinfra_azure.config import HISTORY, READ_LOGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.contract.requests import Document

FOLLOW = "Follow"
CHUNK = 4 << 20  # bytes of one file in one reading
# What the user's command printed: of the present runtime, and of the one before it.
_PRINTED = re.compile(r"user_logs/std_log[\w-]*\.txt|azureml-logs/70_driver_log[\w-]*\.txt")
_NODE = re.compile(r"std_log_?(?:process_)?(?P<node>[\w-]*)|70_driver_log_?(?P<old>[\w-]*)")
_ENDED = {"Completed", "Failed", "Canceled"}
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Piece(NamedTuple):
    """A range of a file: its bytes, and when the file was last written (as HTTP dates are)."""

    content: bytes
    written: str


def read(job: str, token: str | None) -> Request:
    """The next lines of all of a job's nodes."""
    body: Document = {"id": job, "position": token or ""}
    return Request(step="logs", service=HISTORY, operation=FOLLOW, body=body, effect=False, quota=READ_LOGS)


def follow(
    body: Mapping[str, Any], details: Callable[[str], Document], fetch: Callable[[str, int, int], Piece | None]
) -> Document:
    """Do a `Follow`: `details` asks for a run, `fetch` for bytes of a file from one place to before another.

    The position stays the same where nothing is new. A line that has no end yet waits for it, as long as the run does.
    """
    known = details(str(body["id"]))
    position: dict[str, int] = json.loads(body["position"]) if body["position"] else {}
    lines: list[Document] = []
    files = {name: url for name, url in (known.get("logFiles") or {}).items() if _PRINTED.fullmatch(name)}
    for name, url in sorted(files.items()):
        start = position.get(name, 0)
        piece = fetch(url, start, start + CHUNK)
        if piece is None or not piece.content:
            continue
        whole = _whole_lines(piece.content, is_last=known.get("status") in _ENDED)
        if whole:
            position[name] = start + len(whole)
            text = whole.decode(errors="replace")
            lines += [{"time": piece.written, "file": name, "text": each} for each in text.splitlines()]
    return {"lines": lines, "position": json.dumps(position, separators=(",", ":"), sort_keys=True)}


def page(reply: Mapping[str, Any]) -> LogPage:
    """The lines in a reply of `Follow`; their source is the node that the file's name tells."""
    return LogPage(tuple(map(_line, reply["lines"])), reply["position"])


def _whole_lines(content: bytes, *, is_last: bool) -> bytes:
    if len(content) >= CHUNK:  # a line longer than that is cut
        return content[: content.rfind(b"\n") + 1] or content
    return content if is_last else content[: content.rfind(b"\n") + 1]


def _line(line: Mapping[str, Any]) -> LogLine:
    found = _NODE.search(line["file"])
    node = (found["node"] or found["old"] or "") if found else ""
    return LogLine(_time(line["time"]), node, line["text"].rstrip("\r"))


def _time(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return _BEGINNING
