"""Azure's answers as JSON documents: resources, long-running operations, tokens. Imports no SDK.

Azure Resource Manager begins an operation with a 201 or 202 and tells in `Azure-AsyncOperation`, else in `Location`,
where to ask after it (the vendor's guide on asynchronous operations).
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document

DESCRIBE, POLL, SCORE = "Describe", "Get", "Score"  # operations of the adapter's own
DATED = {"Metrics_List"}  # whose answer means something by the service's own clock alone
ENDED = {"Completed", "Failed", "Canceled"}  # of a job
STORAGE_VERSION = "2021-12-02"

# Every word for the state of an operation or of what it works on; the rest is under way.
OPERATION_STATES = {"Succeeded": True, "Failed": False, "Canceled": False}  # over, and whether well
ACCEPTED, NO_CONTENT, NOT_FOUND = 202, 204, 404
_ERROR, _SERVER_ERROR = 400, 500
_WRONG = {400, 409, 412, 422}  # how the end of an operation that failed is told at its `Location`


def document(answer: Any, *, dated: bool = False) -> Document:
    """A resource or listing with `httpStatus` and `etag`; `operation` and `done` where one goes on."""
    told = content(answer)
    reply: Document = {**told} if isinstance(told, dict) else {}
    reply["httpStatus"] = answer.status_code
    if etag := reply.get("etag") or answer.headers.get("ETag"):
        reply["etag"] = etag
    if dated:
        reply["Date"] = answer.headers.get("Date", "")
    url = answer.headers.get("Azure-AsyncOperation", "")
    if not url and answer.status_code == ACCEPTED:
        url = answer.headers.get("Location", "")
    return {**reply, "operation": url, "done": False} if url else reply


def operation(answer: Any) -> Document | None:
    """How an operation stands: `done`, its word `status`, and `error` where it failed; None for another refusal."""
    told = content(answer)
    about: Document = told if isinstance(told, dict) else {}
    if answer.status_code in _WRONG:
        return {"done": True, "status": "Failed", "error": _error(about.get("error") or about, "Failed")}
    if answer.status_code >= _ERROR:
        return None
    if answer.status_code == ACCEPTED and "status" not in about:
        return {"done": False, "status": "InProgress"}
    status = str(about.get("status") or (about.get("properties") or {}).get("provisioningState") or "Succeeded")
    well = OPERATION_STATES.get(status)
    reply: Document = {"done": well is not None, "status": status}
    return {**reply, "error": _error(about.get("error") or {}, status)} if well is False else reply


def content(answer: Any) -> Any:
    """An answer's document, or its text where it is none."""
    try:
        return json.loads(answer.content) if answer.content else {}
    except ValueError:
        return answer.content.decode(errors="replace")


def claims(token: str) -> Document:
    """What a token of Microsoft Entra says of its bearer; nothing for one that cannot be read."""
    parts = token.split(".")
    try:
        middle = parts[1] + "=" * (-len(parts[1]) % 4)
        found = json.loads(base64.urlsafe_b64decode(middle))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def bearer(token: str, expires_on: float) -> Document:
    """A token as obstore takes it."""
    return {"token": token, "expires_at": datetime.fromtimestamp(expires_on, UTC)}


def _error(error: Any, status: str) -> Document:
    about = error if isinstance(error, dict) else {}
    code = str(about.get("code") or status)
    return {"code": code, "message": f"{about.get('message') or 'no reason was given'} ({code})"}
