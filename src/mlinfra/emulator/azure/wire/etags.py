"""Etags: a digest of what a resource's document says, told with every answer that holds one, and compared where asked.

What ARM tells of a resource's state, and who changed it when, is no part of it. Which resources of Azure Machine
Learning have etags is not published; here all have.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.azure.operations import Reply, Request

_STATES = ("provisioningState",)
ETAG = "ETag"
IF_MATCH, IF_NONE_MATCH = "if-match", "if-none-match"


def of(reply: Reply) -> str:
    """The etag of the resource that an answer tells; empty where it tells none."""
    document = reply.body
    if ETAG in reply.headers:
        return reply.headers[ETAG]
    if not isinstance(document, dict) or not isinstance(document.get("id"), str) or "type" not in document:
        return ""
    properties = document.get("properties")
    told = {key: value for key, value in document.items() if key != "systemData"}
    if isinstance(properties, dict):
        told["properties"] = {key: value for key, value in properties.items() if key not in _STATES}
    return f'"{hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]}"'


def conditional(headers: Mapping[str, str]) -> bool:
    """Whether a request asks for a comparison."""
    return IF_MATCH in headers or IF_NONE_MATCH in headers


def check(request: Request, current: Callable[[], str]) -> None:
    """Compare what a write expects with what is there; `current` tells its etag, empty where there is none.

    Raises:
        Refusal: 412.
    """
    found = current()
    wanted, unwanted = request.headers.get(IF_MATCH), request.headers.get(IF_NONE_MATCH)
    if wanted is not None and not _met(wanted, found):
        raise refusals.precondition_failed(request.resource)
    if unwanted is not None and _met(unwanted, found):
        raise refusals.precondition_failed(request.resource)


def _met(condition: str, found: str) -> bool:
    named = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return bool(found) and ("*" in named or found in named)
