"""Cloud Logging's REST interface, version 2: entries.write, entries.list, logs.list, logs.delete; and its inside.

By `LogEntry` and the methods of logging.v2 in Google's discovery documents.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from bisect import insort
from datetime import datetime
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.logging.filters import SEVERITIES, Entry, test_of
from mlinfra.emulator.gcp.wire import httpcalls, refusals
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.emulator import GcpEmulator

SERVICE = "logging"
_PAGE, _LARGEST_PAGE = 50, 1000
_MOST = 200_000  # entries that are kept; the oldest go first
_LOG = re.compile(r"/v2/(?P<parent>projects/[^/]+)/logs(?:/(?P<log>.+))?")
_NAME = re.compile(r"projects/(?P<project>[^/]+)/logs/(?P<log>[^/]{1,511})")
_PAYLOADS = ("textPayload", "jsonPayload", "protoPayload")
_LONGEST_ENTRY = 256 * 1024  # bytes


class Logs:
    """The entries of one project, in the order of their times."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._lock = RLock()
        self._entries: list[tuple[datetime, int, Entry]] = []
        self._serial = 0

    def write(
        self,
        log_name: str,
        resource: Mapping[str, Any],
        labels: Mapping[str, str],
        entries: Sequence[Mapping[str, Any]],
        principal: str = "",
    ) -> None:
        """Write entries from inside, in a principal's name; without one the service itself writes, and may.

        `log_name` is the log's own, without the project. An entry's `timestamp` may be a moment.

        Raises:
            Refusal: PERMISSION_DENIED.
        """
        if principal:
            call = Call(SERVICE, "WriteLogEntries", principal=principal, control=False)
            self._emulator.desk.allow(call, "logging.logEntries.create", f"projects/{self._emulator.project}")
        common = {
            "logName": f"projects/{self._emulator.project}/logs/{quote(log_name, safe='')}",
            "resource": dict(resource),
        }
        for entry in entries:
            self._keep({**common, **entry, "labels": {**labels, **entry.get("labels", {})}})

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Entries are nobody's to clear away."""
        return []

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def _answer(self, request: Request) -> Response:
        principal = httpcalls.caller(self._emulator, request)
        log = _LOG.fullmatch(request.path)
        if (request.method, request.path) in _METHODS:
            name, permission, handle = _METHODS[request.method, request.path]
            body = httpcalls.document(request)
            resources = tuple(_parents(body, name))
        elif log and request.method in {"GET", "DELETE"} and bool(log["log"]) == (request.method == "DELETE"):
            name, permission, handle = _ON_LOGS[request.method]
            body = {**request.args, **log.groupdict()}
            resources = (log["parent"],)
        else:
            raise refusals.not_emulated(f"{request.method} {request.path} of Cloud Logging")
        owned = tuple(map(self._owned, resources))
        call = Call(SERVICE, name, permission, principal, owned, body)
        return httpcalls.replied(self._emulator.desk.admit(call, lambda: handle(self, body)))

    def _owned(self, parent: str) -> str:
        """A parent by the project's id, on which permissions are asked."""
        if parent.removeprefix("projects/") not in {self._emulator.project, self._emulator.project_number}:
            raise refusals.wrong_project(parent.removeprefix("projects/"))
        return f"projects/{self._emulator.project}"

    # What the methods do

    def list_entries(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """entries.list: a page of the entries that a filter means."""
        order = _order(str(body.get("orderBy") or "timestamp asc"))
        test = test_of(str(body.get("filter") or ""))
        size = int(body.get("pageSize") or _PAGE)
        if size < 0:
            raise refusals.invalid_argument("page_size must not be negative", "page_size")
        question = json.dumps([body.get("filter"), order, sorted(body["resourceNames"])])
        after = _position(str(body.get("pageToken") or ""), question)
        with self._lock:
            entries = list(self._entries if order == "asc" else reversed(self._entries))
        begin = 0
        if after:
            begin = next((at for at, row in enumerate(entries) if _behind(_mark(row), after, order)), len(entries))
        meant = [row for row in entries[begin:] if test(row[2])]
        shown = meant[: min(size, _LARGEST_PAGE)]
        answer: dict[str, Any] = {"entries": [row[2] for row in shown]} if shown else {}
        if len(meant) > len(shown):
            answer["nextPageToken"] = _token(_mark(shown[-1]), question)
        return answer

    def write_entries(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """entries.write."""
        common = {name: body[name] for name in ("logName", "resource") if body.get(name)}
        ready = [
            self._checked({**common, **entry, "labels": {**body.get("labels", {}), **entry.get("labels", {})}})
            for entry in body.get("entries") or ()
        ]
        if not body.get("dryRun"):
            for entry in ready:
                self._keep(entry)
        return {}

    def list_logs(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """logs.list: the names of the logs that have entries."""
        with self._lock:
            names = sorted({entry["logName"] for _, _, entry in self._entries})
        return {"logNames": names} if names else {}

    def delete_log(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """logs.delete: all entries of a log."""
        name = f"projects/{self._emulator.project}/logs/{quote(unquote(str(body['log'])), safe='')}"
        with self._lock:
            kept = [row for row in self._entries if row[2]["logName"] != name]
            if len(kept) == len(self._entries):
                raise refusals.not_found(f"Log {body['log']}")
            self._entries = kept
        return {}

    def _checked(self, entry: Entry) -> Entry:
        """An entry of a client's, or a refusal."""
        name = _NAME.fullmatch(str(entry.get("logName", "")))
        if name is None or not entry.get("resource", {}).get("type"):
            raise refusals.invalid_argument(
                "Log entries must have a valid logName and a resource with a type.", "entries"
            )
        self._owned(f"projects/{name['project']}")
        if sum(each in entry for each in _PAYLOADS) != 1:
            raise refusals.invalid_argument("A log entry has exactly one payload.", "entries")
        if str(entry.get("severity", "DEFAULT")) not in SEVERITIES:
            raise refusals.invalid_argument(f"Invalid severity: {entry['severity']}", "entries.severity")
        if len(json.dumps(entry)) > _LONGEST_ENTRY:
            raise refusals.invalid_argument("Log entry with size exceeds maximum size of 256.0K", "entries")
        return {**entry, "logName": f"projects/{self._emulator.project}/logs/{name['log']}"}

    def _keep(self, entry: Entry) -> None:
        now = self._emulator.clock.now()
        at = entry.get("timestamp") or now
        moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
        kept = {
            **entry,
            "insertId": entry.get("insertId") or secrets.token_hex(8),
            "severity": entry.get("severity") or "DEFAULT",
            "timestamp": _written(moment),
            "receiveTimestamp": _written(now),
        }
        with self._lock:
            self._serial += 1
            insort(self._entries, (moment, self._serial, kept))
            del self._entries[:-_MOST]


def _parents(body: Mapping[str, Any], method: str) -> list[str]:
    """The projects that a request is about."""
    if method == "ListLogEntries":
        names = [str(name) for name in body.get("resourceNames") or ()]
        if not names:
            raise refusals.invalid_argument("At least one resource name is required.", "resource_names")
        return names
    names = [str(each.get("logName") or body.get("logName") or "") for each in body.get("entries") or ()]
    found = {match["project"] for match in map(_NAME.fullmatch, names) if match}
    if not found:
        raise refusals.invalid_argument("Log entries must have a valid logName.", "entries")
    return [f"projects/{project}" for project in sorted(found)]


def _order(text: str) -> str:
    match = re.fullmatch(r"timestamp(?: (asc|desc))?", text)
    if match is None:
        raise refusals.invalid_argument('order_by must be "timestamp asc" or "timestamp desc"', "order_by")
    return match[1] or "asc"


def _mark(row: tuple[datetime, int, Entry]) -> tuple[float, int]:
    return row[0].timestamp(), row[1]


def _behind(mark: tuple[float, int], after: tuple[float, int], order: str) -> bool:
    return mark > after if order == "asc" else mark < after


def _token(position: tuple[float, int], question: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([*position, question]).encode()).decode()


def _position(token: str, question: str) -> tuple[float, int] | None:
    """Behind which entry a page begins; a token belongs to the question that it was given for."""
    if not token:
        return None
    try:
        at, serial, asked = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        asked = None
    if asked != question:
        raise refusals.invalid_argument("page_token doesn't match arguments from the request", "page_token")
    return float(at), int(serial)


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


_METHODS: dict[tuple[str, str], tuple[str, str, Callable[[Logs, Mapping[str, Any]], dict[str, Any]]]] = {
    ("POST", "/v2/entries:list"): ("ListLogEntries", "logging.logEntries.list", Logs.list_entries),
    ("POST", "/v2/entries:write"): ("WriteLogEntries", "logging.logEntries.create", Logs.write_entries),
}
_ON_LOGS: dict[str, tuple[str, str, Callable[[Logs, Mapping[str, Any]], dict[str, Any]]]] = {
    "GET": ("ListLogs", "logging.logs.list", Logs.list_logs),
    "DELETE": ("DeleteLog", "logging.logs.delete", Logs.delete_log),
}
_IN_ALL = (
    "entries are kept in memory, the newest 200,000; retention, sinks, views and other parents are not emulated",
)
_IN_LISTS = ("functions of the query language (SEARCH, sample, ip_in_net, cast) are not emulated",)
OPERATIONS = tuple(
    Fidelity(
        SERVICE,
        name,
        validated="the members that it reads",
        differences=_IN_ALL + (_IN_LISTS if name == "ListLogEntries" else ()),
    )
    for name, _, _ in (*_METHODS.values(), *_ON_LOGS.values())
)
