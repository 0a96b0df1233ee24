"""The RPCs of Vertex AI, from the client library's own transports: their messages, and the paths of their REST twins.

Source: `google.cloud.aiplatform_v1.services.*.transports` of the installed package: `grpc` names the messages of each
RPC, `rest_base` its `google.api.http` rules.
"""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from mlinfra.emulator.gcp.wire.messages import parse

PACKAGE = "google.cloud.aiplatform.v1"
SERVICES = ("JobService", "ModelService", "EndpointService", "PredictionService")
_MIXINS = ("Location", "Operation", "IamPolicy", "IamPermissions")
_PREFIX = "_Base"


@dataclass(frozen=True)
class Rule:
    """One REST path of an RPC. `body` is "*" for the whole message, a member's name, or empty."""

    method: str
    uri: str
    body: str = ""


@dataclass(frozen=True)
class Rpc:
    """One RPC: its messages, proto-plus or plain protobuf, and its REST paths."""

    service: str  # "JobService", "google.longrunning.Operations"
    name: str  # "CreateCustomJob"
    request: type
    reply: type
    rules: tuple[Rule, ...] = ()


@cache
def rpcs(service: str) -> dict[str, Rpc]:
    """Every RPC of a service of Vertex AI, by name."""
    package = f"google.cloud.aiplatform_v1.services.{_snake(service)}.transports"
    base = getattr(import_module(f"{package}.rest_base"), f"_Base{service}RestTransport")
    transport = getattr(import_module(f"{package}.grpc"), f"{service}GrpcTransport")
    found = {}
    for attribute, rest in vars(base).items():
        name = attribute.removeprefix(_PREFIX)
        stub = getattr(transport, _snake(name), None)
        if name == attribute or name.endswith(_MIXINS) or not isinstance(stub, property):
            continue
        (request,), reply = typing.get_args(typing.get_type_hints(stub.fget)["return"])
        found[name] = Rpc(service, name, request, reply, _rules(rest))
    return found


@cache
def operation_rules(name: str) -> tuple[Rule, ...]:
    """The REST paths of an RPC of google.longrunning.Operations, as every service of Vertex AI has them."""
    base = import_module("google.cloud.aiplatform_v1.services.job_service.transports.rest_base")
    return _rules(vars(base._BaseJobServiceRestTransport)[f"{_PREFIX}{name}"])  # noqa: SLF001  the only place


def _rules(rest: Any) -> tuple[Rule, ...]:
    options: list[dict[str, str]] = getattr(rest, "_get_http_options", list)()
    return tuple(Rule(each["method"].upper(), each["uri"], each.get("body", "")) for each in options)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def parsed(rpc: Rpc, data: bytes) -> Any:
    """An RPC's request from the wire. google.protobuf.message.DecodeError where it is none."""
    return parse(rpc.request, data)
