"""Reading the servers' logs from where the last reading ended, several deployments as one.

`getLogs` tells the last lines of a deployment's container and knows no position. So a position is, for each deployment,
the marks of the last lines that were seen; what follows them is new. `FOLLOW` is an operation of the adapter's own: its
client asks each deployment and leaves out what was seen.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import LogLine, LogPage
from mlinfra.contract.requests import Request
from mlinfra.errors import NotFound
from mlinfra_azure.config import READ_LOGS
from mlinfra_azure.times import time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mlinfra.contract.requests import Document

LOGS, FOLLOW = "logs", "FollowEndpoint"
TAIL = 5_000  # lines of one deployment that are asked for
_MARKS = 20  # lines that a position remembers of a deployment
_MARK_DIGITS = 10
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # of a line that tells no time
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?")


def read(endpoint: str, deployments: Iterable[str], token: str | None) -> Request:
    """The next lines of an endpoint's deployments."""
    body: Document = {"endpointName": endpoint, "deployments": list(deployments), "position": token or ""}
    return Request(step="logs", service=LOGS, operation=FOLLOW, body=body, effect=False, quota=READ_LOGS)


def follow(body: Mapping[str, Any], send: Callable[[Document], Document]) -> Document:
    """Do a `FOLLOW` by asking each deployment. The position stays the same where nothing is new."""
    seen: dict[str, list[str]] = json.loads(body["position"] or "{}")
    lines: list[list[str]] = []
    for deployment in body["deployments"]:
        asked = {
            "endpointName": body["endpointName"],
            "deploymentName": deployment,
            "body": {"containerType": "InferenceServer", "tail": TAIL},
        }
        try:
            told = str(send(asked).get("content") or "").splitlines()
        except NotFound:  # it went meanwhile
            continue
        lines += [[deployment, text] for text in _fresh(told, seen.get(deployment) or [])]
        seen[deployment] = [_mark(text) for text in told[-_MARKS:]] or seen.get(deployment) or []
    return {"lines": lines, "position": json.dumps(seen, separators=(",", ":"))}


def page(reply: Mapping[str, Any]) -> LogPage:
    """The lines in a reply of `FOLLOW`; their source is the deployment."""
    lines: list[LogLine] = []
    for source, text in reply["lines"]:
        before = lines[-1].time if lines and lines[-1].source == source else _BEGINNING
        lines.append(LogLine(_time(text) or before, source, text))
    return LogPage(tuple(lines), reply["position"])


def _fresh(told: Sequence[str], seen: Sequence[str]) -> Sequence[str]:
    """The lines behind those that were seen; all of them where these are no longer told."""
    if not seen:
        return told
    marks = [_mark(text) for text in told]
    for end in range(len(marks), 0, -1):
        last = marks[max(0, end - len(seen)) : end]
        if last == list(seen[-len(last) :]):
            return told[end:]
    return told


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS]


def _time(text: str) -> datetime | None:
    """When a line was written: the kit's server says so in JSON, others at the line's beginning."""
    if text.startswith("{"):
        try:
            return datetime.fromtimestamp(float(json.loads(text)["time"]), UTC)
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            return None
    found = _MOMENT.match(text)
    return time_of(found[0]) if found else None
