"""Cloud Monitoring's REST interface, version 3: its paths, and the permission that each call needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.monitoring import listing
from mlinfra.emulator.gcp.monitoring.descriptors import DESCRIPTORS, RESOURCE
from mlinfra.emulator.gcp.monitoring.policies import CHANNELS, POLICIES, Kept, check_channel, check_policy
from mlinfra.emulator.gcp.monitoring.series import Lines
from mlinfra.emulator.gcp.wire import httpcalls, refusals
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.emulator import GcpEmulator

SERVICE = "monitoring"
_PATH = re.compile(r"/v3/projects/(?P<project>[^/]+)/(?P<collection>\w+)(?:/(?P<own>.+))?")
_USUAL_PAGE = 1000


@dataclass(frozen=True)
class _Operation:
    """One operation: its RPC's name, the permission that it needs, and what answers it."""

    name: str
    permission: str
    answer: Callable[[Monitoring, Request, str], dict[str, Any]]  # the request, and the resource's name


class Monitoring:
    """Cloud Monitoring of one project. `before_reading` are told that somebody is about to read."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._lines = Lines(emulator.metrics, emulator.place)
        self.policies: Kept = Kept(emulator, POLICIES, check_policy)
        self.channels: Kept = Kept(emulator, CHANNELS, check_channel)
        self.before_reading: list[Callable[[], None]] = []

    def put(self, metric: str, endpoint: str, labels: Mapping[str, str], value: float, at: datetime) -> None:
        """Keep a value of an endpoint, by its id. One of a DELTA belongs to the minute in which `at` lies."""
        self._lines.put(metric, endpoint, labels, value, at)

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def leftovers(self) -> list[str]:
        """The names of the alert policies with our labels."""
        return [
            each["name"]
            for each in self.policies.listed()
            if any(label.startswith("mlinfra") for label in each.get("userLabels", {}))
        ]

    def stop(self) -> None:
        """Nothing of it runs."""

    # Operations

    def list_series(self, request: Request, _name: str) -> dict[str, Any]:
        """projects.timeSeries.list."""
        query = listing.read(request.args)
        for tell in self.before_reading:
            tell()
        found = listing.computed(query, self._lines.matching(query.filter, query.start, query.end))
        shown, token = _page(found, request, by_points=not query.headers_only)
        series = [listing.told(line, headers_only=query.headers_only) for line in shown]
        unit = DESCRIPTORS[query.filter.metrics[0]].unit if series else ""
        return {
            **({"timeSeries": series} if series else {}),
            **({"nextPageToken": token} if token else {}),
            **({"unit": unit} if unit else {}),
        }

    def list_descriptors(self, _request: Request, _name: str) -> dict[str, Any]:
        """projects.metricDescriptors.list, of the metrics that are written here."""
        return {"metricDescriptors": [self._described(metric) for metric in DESCRIPTORS]}

    def get_descriptor(self, _request: Request, name: str) -> dict[str, Any]:
        """projects.metricDescriptors.get."""
        metric = name.partition("/metricDescriptors/")[2]
        if metric not in DESCRIPTORS:
            raise refusals.not_found(f"Could not find descriptor for metric '{metric}'.")
        return self._described(metric)

    # The parts

    def _answer(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        key = (request.method, found["collection"], bool(found["own"])) if found else ("", "", False)
        operation = _OPERATIONS.get(key)
        if found is None or operation is None:
            raise refusals.not_emulated(f"{request.method} {request.path} of Cloud Monitoring")
        principal = httpcalls.caller(self._emulator, request)
        if found["project"] not in {self._emulator.project, self._emulator.project_number}:
            raise refusals.wrong_project(found["project"])
        project = f"projects/{self._emulator.project}"
        name = f"{project}/{found['collection']}/{found['own']}" if found["own"] else project
        call = Call(
            service=SERVICE,
            operation=operation.name,
            action=operation.permission,
            principal=principal,
            resources=(project,),
            body=request.args.to_dict(),
        )
        told = self._emulator.desk.admit(call, lambda: operation.answer(self, request, name))
        return httpcalls.replied(told)

    def _described(self, metric: str) -> dict[str, Any]:
        found = DESCRIPTORS[metric]
        return {
            "name": f"projects/{self._emulator.project}/metricDescriptors/{metric}",
            "type": metric,
            "metricKind": found.kind,
            "valueType": found.value,
            "unit": found.unit,
            "displayName": found.name,
            "labels": [{"key": label} for label in found.labels],
            "monitoredResourceTypes": [RESOURCE],
        }


def _page(found: list[Any], request: Request, *, by_points: bool) -> tuple[list[Any], str]:
    """The series of a page, whose size counts points or series; each page shows at least one series."""
    start, size = _number(request, "pageToken", 0), _number(request, "pageSize", listing.LARGEST_PAGE)
    size = min(size or listing.LARGEST_PAGE, listing.LARGEST_PAGE)
    shown: list[Any] = []
    for line in found[start:]:
        weight = len(line.points) if by_points else 1
        if shown and size < weight:
            break
        shown.append(line)
        size -= weight
    after = start + len(shown)
    return shown, str(after) if after < len(found) else ""


def _number(request: Request, name: str, usual: int) -> int:
    text = request.args.get(name) or str(usual)
    if not text.isascii() or not text.isdigit():
        raise refusals.invalid_argument(f"Field {name} had an invalid value of {text!r}.", name)
    return int(text)


def _listed(kept: Callable[[Monitoring], Kept]) -> Callable[[Monitoring, Request, str], dict[str, Any]]:
    def answer(monitoring: Monitoring, request: Request, _name: str) -> dict[str, Any]:
        collection = kept(monitoring)
        start, size = _number(request, "pageToken", 0), _number(request, "pageSize", _USUAL_PAGE) or _USUAL_PAGE
        found = collection.listed()
        token = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return {collection.collection: found[start : start + size], **token, "totalSize": len(found)}

    return answer


def _collection(name: str, one: str, kept: Callable[[Monitoring], Kept]) -> dict[tuple[str, str, bool], _Operation]:
    """The five operations of a collection of documents."""
    many = f"List{one[:-1]}ies" if one.endswith("y") else f"List{one}s"
    return {
        ("POST", name, False): _Operation(
            f"Create{one}",
            f"monitoring.{name}.create",
            lambda monitoring, request, _: kept(monitoring).create(httpcalls.document(request)),
        ),
        ("GET", name, True): _Operation(
            f"Get{one}", f"monitoring.{name}.get", lambda monitoring, _, own: kept(monitoring).get(own)
        ),
        ("GET", name, False): _Operation(many, f"monitoring.{name}.list", _listed(kept)),
        ("PATCH", name, True): _Operation(
            f"Update{one}",
            f"monitoring.{name}.update",
            lambda monitoring, request, own: kept(monitoring).patch(
                own, httpcalls.document(request), request.args.get("updateMask", "")
            ),
        ),
        ("DELETE", name, True): _Operation(
            f"Delete{one}", f"monitoring.{name}.delete", lambda monitoring, _, own: kept(monitoring).delete(own)
        ),
    }


_OPERATIONS: dict[tuple[str, str, bool], _Operation] = {
    ("GET", "timeSeries", False): _Operation("ListTimeSeries", "monitoring.timeSeries.list", Monitoring.list_series),
    ("GET", "metricDescriptors", False): _Operation(
        "ListMetricDescriptors", "monitoring.metricDescriptors.list", Monitoring.list_descriptors
    ),
    ("GET", "metricDescriptors", True): _Operation(
        "GetMetricDescriptor", "monitoring.metricDescriptors.get", Monitoring.get_descriptor
    ),
    **_collection(POLICIES, "AlertPolicy", lambda monitoring: monitoring.policies),
    **_collection(CHANNELS, "NotificationChannel", lambda monitoring: monitoring.channels),
}
_DIFFERENCES = {
    "ListTimeSeries": (
        "only the metrics of online predictions on endpoints exist",
        "percentiles are of the values themselves, not estimated from a distribution's buckets",
        "a value of a DELTA counts in the alignment period in which its minute ends; none is split or interpolated",
        "ALIGN_INTERPOLATE, ALIGN_PERCENT_CHANGE and everything for truth values answer 'not emulated'",
    ),
    "ListMetricDescriptors": ("without filter and pages",),
    "CreateAlertPolicy": ("policies are kept and told; none is evaluated, and none opens an incident",),
    "CreateNotificationChannel": ("nothing is sent to it",),
}
OPERATIONS = tuple(
    Fidelity(SERVICE, each.name, validated="its parameters", differences=_DIFFERENCES.get(each.name, ()))
    for each in _OPERATIONS.values()
)
