"""An error as gRPC and long-running operations tell it: google.rpc.Status with its details."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Refusal

_KINDS = {
    kind: getattr(error_details_pb2, kind)
    for kind in ("BadRequest", "ErrorInfo", "RetryInfo", "QuotaFailure", "PreconditionFailure", "ResourceInfo")
}


def status_of(error: Refusal) -> status_pb2.Status:
    """The error on the wire."""
    found = status_pb2.Status(code=refusals.number_of(error), message=error.message)
    for each in error.details.get("details", ()):
        members = {name: value for name, value in each.items() if name != "@type"}
        kind = _KINDS[each["@type"].rpartition(".")[2]]
        box = any_pb2.Any()
        box.Pack(json_format.ParseDict(members, kind()))
        found.details.append(box)
    return found
