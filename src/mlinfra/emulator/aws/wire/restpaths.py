"""REST requests by their description: which operation, and which members lie in path, query and headers.

One matcher for every REST service: an operation fits when its method, its path, the fixed parts of its query string
and all its required members outside the body are there; of those that fit, the one that asks for most is meant. So
`PUT /bucket/key` with `x-amz-copy-source` is CopyObject, and with `partNumber` and `uploadId` UploadPartCopy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.model import ListShape, MapShape

from mlinfra.emulator.aws.wire import shapes
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape, StructureShape
    from werkzeug.wrappers import Request

_LABEL = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True)
class _Route:
    operation: str
    method: str
    path: re.Pattern[str]
    fixed: dict[str, str]  # parts of the query string that are always there
    labels: tuple[tuple[str, str], ...]  # (group, member)
    query: dict[str, tuple[str, bool]]  # name on the wire -> member, required
    headers: dict[str, tuple[str, bool]]
    prefixes: dict[str, str]  # prefix of headers -> member, a map


class Placed(NamedTuple):
    """An answer's members by where they go."""

    headers: dict[str, str]
    payload: bytes | None
    members: dict[str, Any]


def match(service: str, request: Request) -> tuple[str, dict[str, Any]]:
    """The operation that a request means, and its members outside the body, as texts.

    Raises:
        Refusal: none of the service's operations has such a method and path.
    """
    parts = urlsplit(request.environ.get("RAW_URI") or request.full_path)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    best: tuple[int, _Route, re.Match[str]] | None = None
    for route in _routes(service, request.method):
        found = route.path.fullmatch(parts.path)
        weight = _weight(route, query, request) if found else -1
        if found and weight >= 0 and (best is None or weight > best[0]):
            best = (weight, route, found)
    if best is None:
        raise Refusal("MethodNotAllowed", "The specified method is not allowed against this resource.", status=405)
    _, route, found = best
    return route.operation, _members(route, found, query, request)


def placed(shape: StructureShape, answer: dict[str, Any]) -> Placed:
    """A shaped answer, its members in headers, payload and body."""
    headers: dict[str, str] = {}
    payload = shape.serialization.get("payload")
    rest = dict(answer)
    for name, member in shape.members.items():
        if member.serialization.get("location") == "header" and name in rest:
            headers[member.serialization["name"]] = str(rest.pop(name))
    return Placed(headers, rest.pop(payload, b"") if payload else None, rest)


@cache
def _routes(service: str, method: str) -> tuple[_Route, ...]:
    model = shapes.service(service)
    operations = (model.operation_model(name) for name in model.operation_names)
    return tuple(_route(each) for each in operations if each.http["method"] == method)


def _route(model: OperationModel) -> _Route:
    path, _, query = model.http["requestUri"].partition("?")
    labels: list[tuple[str, str]] = []
    members = model.input_shape.members if model.input_shape else {}
    by_label = {
        shape.serialization.get("name", name): name
        for name, shape in members.items()
        if shape.serialization.get("location") == "uri"
    }

    def group(label: re.Match[str]) -> str:
        labels.append((f"g{len(labels)}", by_label[label[1]]))
        return f"(?P<{labels[-1][0]}>{'.+' if label[2] else '[^/]+'})"

    pattern = "".join(
        _LABEL.sub(group, piece) if _LABEL.fullmatch(piece) else re.escape(piece)
        for piece in re.split(r"(\{\w+\+?\})", path)
    )
    fixed = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    return _Route(
        operation=model.name,
        method=model.http["method"],
        path=re.compile(pattern.rstrip("/") + "/?", re.DOTALL),
        fixed=fixed,
        labels=tuple(labels),
        query=_located(model, members, "querystring"),
        headers=_located(model, members, "header"),
        prefixes={
            shape.serialization["name"].lower(): name
            for name, shape in members.items()
            if shape.serialization.get("location") == "headers"
        },
    )


def _located(model: OperationModel, members: dict[str, Shape], location: str) -> dict[str, tuple[str, bool]]:
    required = model.input_shape.required_members if model.input_shape else []
    return {
        shape.serialization["name"]: (name, name in required)
        for name, shape in members.items()
        if shape.serialization.get("location") == location and not isinstance(shape, (ListShape, MapShape))
    }


def _weight(route: _Route, query: dict[str, str], request: Request) -> int:
    """How much a route asks for that the request has; -1 where something is missing."""
    if any(name not in query or (value and query[name] != value) for name, value in route.fixed.items()):
        return -1
    needed = [name in query for name, (_, required) in route.query.items() if required]
    needed += [name in request.headers for name, (_, required) in route.headers.items() if required]
    return len(route.fixed) + len(needed) if all(needed) else -1


def _members(route: _Route, found: re.Match[str], query: dict[str, str], request: Request) -> dict[str, Any]:
    members: dict[str, Any] = {member: unquote(found[group]) for group, member in route.labels}
    members |= {member: query[name] for name, (member, _) in route.query.items() if name in query}
    members |= {member: request.headers[name] for name, (member, _) in route.headers.items() if name in request.headers}
    for prefix, member in route.prefixes.items():
        members[member] = {
            name[len(prefix) :]: value for name, value in request.headers.items() if name.lower().startswith(prefix)
        }
    return members
